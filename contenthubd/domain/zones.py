"""Names of time zones: those that exist, and which one a person meant by another name.

The tables hold what Unicode CLDR, Windows and everyday language call a zone. A bare offset means a place that keeps it
all year, since ``Etc/GMT-8`` counts the other way round than people do.
"""

import re
from difflib import get_close_matches
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from contenthubd.domain.errors import InvalidInput

_MEANT: Final = {
    "Asia/Shanghai": "beijing peking china prc cst chinastandardtime chinatime beijingtime shenzhen guangzhou hangzhou "
    "chengdu wuhan nanjing tianjin xian suzhou cn cnsha 北京 上海 中国 中國 北京时间 北京時間 东八区 東八區",
    "America/Chicago": "cst centralstandardtime central ct cdt uscentral dallas houston",
    "America/New_York": "easternstandardtime eastern et edt washington boston nyc useastern miami",
    "America/Denver": "mountainstandardtime mountain mt mdt",
    "America/Los_Angeles": "pacificstandardtime pacific pst pt pdt sanfrancisco seattle la",
    "Asia/Hong_Kong": "hkt hongkong 香港",
    "Asia/Taipei": "taiwan taibei taipeistandardtime 台北 臺北",
    "Asia/Macau": "macao aomen 澳门 澳門",
    "Asia/Singapore": "sgt singaporestandardtime",
    "Asia/Tokyo": "jst japan tokyostandardtime osaka kyoto",
    "Asia/Seoul": "kst korea koreastandardtime busan",
    "Asia/Kolkata": "ist india indiastandardtime delhi newdelhi mumbai bombay bangalore calcutta",
    "Asia/Ho_Chi_Minh": "ict vietnam hanoi saigon",
    "Asia/Jakarta": "indonesia wib",
    "Asia/Dubai": "gst uae abudhabi",
    "Australia/Sydney": "aest aedt canberra ausasternstandardtime",
    "Europe/Berlin": "germany munich hamburg frankfurt cologne weuropestandardtime",
    "Europe/London": "bst uk gb england britain gmtstandardtime",
    "Europe/Paris": "france romancestandardtime",
    "Europe/Moscow": "msk russia russianstandardtime",
    "Europe/Kyiv": "kiev ukraine",
    "UTC": "z zulu utc+0 utc-0 gmt+0 gmt-0 greenwich coordinateduniversaltime",
}
_OFFSETS: Final = {
    "+01": "Africa/Lagos", "+02": "Africa/Johannesburg", "+03": "Europe/Moscow", "+04": "Asia/Dubai",
    "+05": "Asia/Karachi", "+05:30": "Asia/Kolkata", "+05:45": "Asia/Kathmandu", "+06": "Asia/Dhaka",
    "+06:30": "Asia/Yangon", "+07": "Asia/Bangkok", "+08": "Asia/Shanghai", "+09": "Asia/Tokyo",
    "+09:30": "Australia/Darwin", "+10": "Australia/Brisbane", "+11": "Pacific/Guadalcanal", "+12": "Pacific/Fiji",
    "+13": "Pacific/Tongatapu", "-03": "America/Sao_Paulo", "-04": "America/Puerto_Rico", "-05": "America/Bogota",
    "-06": "America/Costa_Rica", "-07": "America/Phoenix", "-10": "Pacific/Honolulu", "+00": "UTC", "-00": "UTC",
}  # fmt: skip
_OFFSET: Final = re.compile(r"(?:utc|gmt)?([+-])([0-9]{1,2}):?([0-9]{2})?")
_LONGEST: Final = 60


def zone(name: str) -> ZoneInfo:
    """An IANA time zone; InvalidInput names the one that was probably meant."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        found = meant(name[:_LONGEST])
        raise InvalidInput(
            f"There is no time zone {name[:_LONGEST]!r}.",
            why="Time zones have names such as UTC, Europe/Berlin or Asia/Shanghai.",
            fix=f"Did you mean {' or '.join(map(repr, found))}?" if found else "",
        ) from None


def meant(name: str) -> list[str]:
    """The zones that a name probably stands for, the likeliest first; empty if nothing is near."""
    if offset := _OFFSET.fullmatch(re.sub(r"\s", "", name.lower())):
        minutes = "" if offset[3] in (None, "00") else f":{offset[3]}"
        return [one for one in [_OFFSETS.get(f"{offset[1]}{int(offset[2]):02}{minutes}")] if one]
    plain = re.sub(r"[\s_.'-]", "", name.strip().lower())
    city = plain.rpartition("/")[2]
    known = {one for word in (plain, city) for one in _spoken().get(word, ())}
    if found := [one for one in _MEANT if one in known] or sorted(known):
        return found[:3]
    return get_close_matches(name, sorted(available_timezones()), 1)


@cache
def _spoken() -> dict[str, tuple[str, ...]]:
    """Zones by their names, their last parts and what people call them, all in lowercase without signs."""
    found: dict[str, list[str]] = {}
    known = available_timezones()
    for one in sorted(known, reverse=True):
        for word in {one, one.rpartition("/")[2]}:
            found.setdefault(re.sub(r"[_-]", "", word.lower()), []).append(one)
    spoken = {word: tuple(ones if "/" not in word else ones[:1]) for word, ones in found.items()}
    for one, words in _MEANT.items():
        for word in words.split() if one in known else ():
            spoken[word] = (*(other for other in spoken.get(word, ()) if other in _MEANT), one)
    return spoken
