"""Which proxy an image is fetched through, by key and by variables; and that none is ever passed over."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from contenthubd.adapters.images.exempt import Exempt
from contenthubd.adapters.images.proxies import DIRECT, SCHEMES, Proxies, Proxy, Unusable, proxies_of, read
from contenthubd.domain.errors import InvalidInput

A = "https://a.example/x.png"


def chosen(proxies: Proxies, url: str) -> str | None:
    found = proxies.of(URL(url))
    if isinstance(found, Proxy):
        return f"{found.address.scheme}://{found}"
    return None if found is None else "unusable"


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "http://a.example/", None),
        ({"http_proxy": "http://l:1", "HTTP_PROXY": "http://u:2"}, "http://a.example/", "http://l:1"),
        ({"http_proxy": "", "HTTP_PROXY": "http://u:2"}, "http://a.example/", "http://u:2"),
        ({"http_proxy": " ", "HTTP_PROXY": "http://u:2"}, "http://a.example/", "http://u:2"),
        ({"HTTP_PROXY": "http://u:2"}, A, None),
        ({"HTTPS_PROXY": "http://u:2", "ALL_PROXY": "http://x:3"}, A, "http://u:2"),
        ({"HTTPS_PROXY": "http://u:2", "all_proxy": "http://x:3"}, A, "http://u:2"),
        ({"ALL_PROXY": "http://x:3"}, A, "http://x:3"),
        ({"all_proxy": "socks5://x:3", "ALL_PROXY": "http://y:3"}, A, "socks5://x:3"),
        ({"HTTPS_PROXY": "u:3128"}, A, "http://u:3128"),
        ({"HTTPS_PROXY": "me:pw@u:3128"}, A, "http://u:3128"),
        ({"HTTPS_PROXY": "HTTP://u:3128/"}, A, "http://u:3128"),
        ({"HTTPS_PROXY": "http://u"}, A, "http://u:80"),
        ({"HTTPS_PROXY": "https://u"}, A, "https://u:443"),
        ({"HTTPS_PROXY": "https://[::1]:8443"}, A, "https://[::1]:8443"),
        ({"ALL_PROXY": "socks5://u"}, A, "socks5://u:1080"),
        ({"ALL_PROXY": "socks5h://u:9"}, A, "socks5h://u:9"),
        ({"ALL_PROXY": "socks4://u:9"}, A, "socks4://u:9"),
        ({"ALL_PROXY": "socks://u:9/"}, A, "socks5://u:9"),
        ({"HTTPS_PROXY": "http://[::1"}, A, "unusable"),
        ({"HTTPS_PROXY": "http://[]"}, A, "unusable"),
        ({"HTTPS_PROXY": "http://u:99999"}, A, "unusable"),
        ({"HTTPS_PROXY": "http://u:0"}, A, "unusable"),
        ({"HTTPS_PROXY": "http://u:"}, A, "unusable"),
        ({"HTTPS_PROXY": "http://"}, A, "unusable"),
        ({"HTTPS_PROXY": "quic://u:1"}, A, "unusable"),
        ({"HTTPS_PROXY": '"http://u:1"'}, A, "unusable"),
        ({"HTTPS_PROXY": "http://u v:1"}, A, "unusable"),
        ({"HTTPS_PROXY": "http://me:p#s@u:1"}, A, "unusable"),
        ({"HTTPS_PROXY": "http://me:12/s@u:1"}, A, "unusable"),
        ({"HTTPS_PROXY": "socks5://me:密@u:1"}, A, "unusable"),
        ({"HTTPS_PROXY": "quic://u:1"}, "http://a.example/", None),
        ({"HTTPS_PROXY": "quic://u:1", "NO_PROXY": ".example"}, A, None),
        ({"ALL_PROXY": "quic://u:1", "HTTPS_PROXY": "http://u:2"}, A, "http://u:2"),
        ({"HTTPS_PROXY": "quic://u:1", "ALL_PROXY": "http://u:2"}, A, "unusable"),
    ],
)
def test_which_proxy_the_variables_name(environ: Mapping[str, str], url: str, proxy: str | None) -> None:
    assert chosen(proxies_of("", environ), url) == proxy


@pytest.mark.parametrize(
    ("exempt", "url", "direct"),
    [
        ("*", A, True),
        ("b.example, *", A, True),
        ("b.example, .example", A, True),
        ("b.example .example", A, True),
        ("b.example\t.example", A, True),
        ("b.example;.example", A, True),
        ("example", A, True),
        ("*.example", A, True),
        ("A.EXAMPLE.", A, True),
        ("a.example", "https://a.example./", True),
        ("a.example", "https://A.Example/", True),
        ("a.example", "https://b.a.example/", True),
        ("a.example", "https://ba.example/", False),
        ("ample", A, False),
        ("a.exam", A, False),
        ("a.example:443", A, True),
        ("a.example:8443", A, False),
        (".example:443", A, True),
        ("a.example:8443", "https://a.example:8443/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.1.2.3/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.1.2.3", "http://10.1.2.3:8080/", True),
        ("10.1.2.3:80", "http://10.1.2.3:8080/", False),
        ("10.1.2.3:80", "http://10.1.2.3/", True),
        ("::1", "http://[::1]/", True),
        ("[::1]", "http://[::1]/", True),
        ("[::1]:80", "http://[::1]/", True),
        ("[::1]:81", "http://[::1]/", False),
        ("0:0:0:0:0:0:0:1", "http://[::1]/", True),
        ("fd00::/8", "http://[fd12::1]/", True),
        ("fd00::/8", "http://[fe12::1]/", False),
        ("10.0.0.0/8", "http://[::ffff:10.1.1.1]/", True),
        ("::ffff:10.1.1.1", "http://10.1.1.1/", True),
        ("10.0.0.0/8", "http://a.example/", False),
        ("0.0.1", "http://10.0.0.1/", False),
        ("中文.example", "http://中文.example/", True),
        ("xn--fiq228c.example", "http://中文.example/", True),
        ("", A, False),
        (",, ,", A, False),
        (".", A, False),
        ("[", A, False),
        ("10.0.0.0/99", "http://10.0.0.1/", False),
    ],
)  # fmt: skip
def test_what_is_exempt(exempt: str, url: str, direct: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        found = proxies_of("", {"ALL_PROXY": "http://u:2", name: exempt})
        assert chosen(found, url) == (None if direct else "http://u:2")


@given(st.text(max_size=40), st.text(st.sampled_from("*.,:[]/ 0a1:"), max_size=30))
def test_any_exemption_is_read(text: str, likely: str) -> None:
    for value in (text, likely, f"{likely},a.example"):
        assert Exempt.read(value).holds(URL(A)) in (True, False)
    assert Exempt.read(f"{likely},a.example").holds(URL(A))


def test_the_key_outranks_the_variables() -> None:
    found = proxies_of("http://key:1", {"HTTPS_PROXY": "quic://u:2", "NO_PROXY": "*"})
    assert chosen(found, A) == chosen(found, "http://a.example/") == "http://key:1"
    assert found.faults == ()
    assert DIRECT.of(URL(A)) is None


@pytest.mark.parametrize(
    "address",
    ["u:1", "me:SECRET@u:1", "me:SECRET@u:x", "me:SECRET@", "me:1SECRET/@u:1", "me:1#SECRET@u:1", "SECRET@u:1:1",
     "me:SECRET@[::1", "me:SECRET%zz@u:1", "me:SECRET\n@u:1", "me:密SECRET@u:1", "me:SECRET@u u:1"],
)  # fmt: skip
def test_no_word_of_it_holds_the_password(address: str) -> None:
    for scheme in (*SCHEMES, "quic", ""):
        found = proxies_of("", {"HTTPS_PROXY": f"{scheme}://{address}" if scheme else address})
        proxy = found.of(URL(A))
        assert isinstance(proxy, Proxy | Unusable)
        assert "SECRET" not in f"{proxy} {proxy!r}".upper()
        for fault in found.faults:
            assert "SECRET" not in f"{fault.what} {fault.fix}".upper()
            assert "HTTPS_PROXY" in fault.what
            assert fault.why.endswith(".")


@given(st.text(max_size=60) | st.from_regex(r"(socks5|https?)://[a:@%\[\]/#?. 1-9-]{0,20}", fullmatch=True))
def test_any_text_is_an_address_or_told_why_not(text: str) -> None:
    try:
        assert read(text).host
    except InvalidInput as fault:
        assert fault.what.endswith(".")


def test_nothing_is_told_where_every_host_is_exempt() -> None:
    environ = {"ALL_PROXY": "quic://u:1"}
    [fault] = proxies_of("", environ).faults
    assert fault.what.startswith("The proxy in ALL_PROXY cannot be used: quic:// is not supported")
    assert proxies_of("", {**environ, "NO_PROXY": "*"}).faults == ()
