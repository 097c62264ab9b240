"""The configuration as values: one frozen struct per section, every default in one place.

A field here *is* a key of ``config.toml``; its annotation carries the limits that are checked, and a ``description``
says a limit in words where its type alone does not. ``extra`` names the further check in ``values.py``. What may stay
empty is derived (``Config.socket_path`` and its neighbours), so that a person states only what differs. ``Config`` is
built by ``loader.load``, which fills in ``daemon.state_dir`` and ``daemon.socket`` before it hands the values out.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from contenthubd.domain.request import MOST_RETRIES
from contenthubd.domain.task import Mode

Retries = Annotated[int, Meta(ge=0, le=MOST_RETRIES)]
Span = Annotated[float, Meta(ge=0.01, le=604_800, extra={"unit": "seconds"})]  # never zero: nothing could be done in it
Pause = Annotated[float, Meta(ge=0, le=604_800, extra={"unit": "seconds"})]  # zero is meant: at once
Lease = Annotated[float, Meta(ge=0.5, le=3600, extra={"unit": "seconds"})]
Days = Annotated[float, Meta(ge=0, le=36_500, extra={"unit": "days"})]  # zero means forever
Delays = Annotated[tuple[Pause, ...], Meta(min_length=1)]
FilePath = Annotated[
    str, Meta(description="an absolute path, one that begins with ~/, or empty", extra={"check": "path"})
]
Program = Annotated[tuple[str, ...], Meta(min_length=1, extra={"check": "command"})]
OptionalProgram = Annotated[tuple[str, ...], Meta(extra={"check": "command"})]
PostgresUrl = Annotated[
    str, Meta(description="a postgresql:// or postgresql+asyncpg:// address, or empty", extra={"check": "postgres_url"})
]
RedisUrl = Annotated[
    str, Meta(description="a redis://, rediss:// or unix:// address, or empty", extra={"check": "redis_url"})
]
CreatorRedisUrl = Annotated[
    str, Meta(description="a redis:// or rediss:// address, or empty", extra={"check": "creator_redis_url"})
]
ProxyUrl = Annotated[str, Meta(description="an http:// or https:// address, or empty", extra={"check": "proxy_url"})]
ImageProxyUrl = Annotated[
    str,
    Meta(
        description="an http://, https://, socks5:// or socks4:// address, or empty", extra={"check": "image_proxy_url"}
    ),
]
FileMode = Annotated[
    str,
    Meta(
        pattern=r"^0?6[0-6]{2}\Z",
        description="an octal mode of files such as 0644 or 0640, in which their owner may read and write",
    ),
]
InstanceName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z",
        description="a name of 1 to 32 lowercase letters, digits, - and _ that begins with a letter or digit",
    ),
]


class DaemonSettings(Struct, frozen=True, kw_only=True):
    """Where the daemon lives, how it stops and how it logs."""

    state_dir: FilePath = ""
    socket: FilePath = ""
    socket_group: Annotated[str, Meta(description="the name of a group, or empty")] = ""
    stop_grace_seconds: Pause = 30
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"


class DatabaseSettings(Struct, frozen=True, kw_only=True):
    """PostgreSQL: a server of your own, or (``url`` empty) the private one the daemon runs."""

    url: PostgresUrl = ""
    command_timeout_seconds: Span = 10
    pool_size: Annotated[int, Meta(ge=1, le=100)] = 6
    postgres_bin: FilePath = ""


class TaskSettings(Struct, frozen=True, kw_only=True):
    """How many articles at once, how long one may take, and when a failed one is tried again."""

    mode: Mode = Mode.ASYNC
    max_concurrent: Annotated[int, Meta(ge=1, le=1000)] = 5
    timeout_seconds: Span = 1800
    poll_interval_seconds: Span = 30
    max_retries: Retries = 3
    retry_delays_seconds: Delays = (30, 60, 120)
    retry_jitter: Annotated[float, Meta(ge=0, le=1)] = 0.1
    lease_seconds: Lease = 30


class ReviewSettings(Struct, frozen=True, kw_only=True):
    """Whether an article needs a person before it is published."""

    auto_approve: bool = True


class PublishSettings(Struct, frozen=True, kw_only=True):
    """Where approved articles go, and when a failed publication is tried again."""

    auto_add_to_pool: bool = True
    directory: FilePath = ""
    file_mode: FileMode = "0644"
    max_retries: Retries = 3
    retry_delays_seconds: Delays = (30, 60, 120)


class QueueSettings(Struct, frozen=True, kw_only=True):
    """The queue of task ids; losing it costs time, never a task."""

    type: Literal["auto", "redis", "memory"] = "auto"
    redis_url: RedisUrl = "redis://localhost:6379/0"
    redis_enabled: bool = True
    memory_size: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000


class CreatorSettings(Struct, frozen=True, kw_only=True):
    """The content-creator command, its working directory, its worker and its own Redis."""

    command: Program = ("content-creator",)
    worker_command: OptionalProgram = ()
    instance: InstanceName = "default"
    workdir: FilePath = ""
    redis_url: CreatorRedisUrl = ""
    env_file: FilePath = ""
    proxy: ProxyUrl = ""
    manage_worker: bool = True
    on_redis_down: Literal["sync", "wait"] = "sync"
    abandon_seconds: Pause = 3600
    max_children: Annotated[int, Meta(ge=2, le=64)] = 5
    command_timeout_seconds: Span = 20
    list_page_size: Annotated[int, Meta(ge=1, le=10_000)] = 200
    poison_limit: Annotated[int, Meta(ge=1, le=100)] = 3
    instance_lost_seconds: Pause = 86_400


class ImageSettings(Struct, frozen=True, kw_only=True):
    """Fetching an article's images before their addresses die."""

    max_bytes: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 20_000_000
    timeout_seconds: Span = 30
    max_retries: Retries = 3
    retry_delays_seconds: Delays = (30, 60, 120)
    proxy: ImageProxyUrl = ""
    allow_private_addresses: bool = False


class RetentionSettings(Struct, frozen=True, kw_only=True):
    """How long finished tasks, with all that hangs on them, and facts are kept; 0 days means forever."""

    completed_days: Days = 0
    failed_days: Days = 90
    timeout_days: Days = 90
    cancelled_days: Days = 90
    fact_days: Days = 0


class Config(Struct, frozen=True, kw_only=True):
    """Every setting, checked; the sections are named as in ``config.toml``."""

    daemon: DaemonSettings = DaemonSettings()
    database: DatabaseSettings = DatabaseSettings()
    tasks: TaskSettings = TaskSettings()
    review: ReviewSettings = ReviewSettings()
    publish: PublishSettings = PublishSettings()
    queue: QueueSettings = QueueSettings()
    creator: CreatorSettings = CreatorSettings()
    images: ImageSettings = ImageSettings()
    retention: RetentionSettings = RetentionSettings()

    @property
    def state_dir(self) -> Path:
        """The directory everything of ours lives in unless a key says otherwise."""
        return Path(self.daemon.state_dir)

    @property
    def socket_path(self) -> Path:
        """The Unix socket of the private door."""
        return Path(self.daemon.socket) if self.daemon.socket else self.state_dir / "control.sock"

    @property
    def queue_redis_url(self) -> str:
        """The address of the queue's Redis; empty where the queue is in memory alone."""
        return self.queue.redis_url if self.queue.type != "memory" and self.queue.redis_enabled else ""

    @property
    def published_dir(self) -> Path:
        """Where the directory publisher writes articles."""
        return Path(self.publish.directory) if self.publish.directory else self.state_dir / "published"

    @property
    def creator_workdir(self) -> Path:
        """The working directory of the creator instance (its ``data/`` and ``logs/`` lie here)."""
        if self.creator.workdir:
            return Path(self.creator.workdir)
        return self.state_dir / "creator" / self.creator.instance

    @property
    def creator_env_file(self) -> Path | None:
        """The file with the creator's keys, if one is named."""
        return Path(self.creator.env_file) if self.creator.env_file else None

    @property
    def postgres_bin(self) -> Path | None:
        """The directory of the PostgreSQL programs, if one is named."""
        return Path(self.database.postgres_bin) if self.database.postgres_bin else None
