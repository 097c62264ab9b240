"""What the content-creator command line answers, one command at a time, as data.

The same list is held against the simulator and against the real package. Words in braces stand for the ids of tasks
that exist when the commands run: {pending} (no worker has seen it), {completed}, {failed} (all its tries are over),
{sync}, {sync_failed}, {unknown}.
"""

from dataclasses import dataclass

LINE = "─" * 40
BANNER_LINES = 12
NOT_YET = "⚠️  任务尚未完成，当前状态: "
CREATE = ("create", "--mode=async")


@dataclass(frozen=True)
class Fact:
    """One command, and what must be true of its answer. Marks are regular expressions, searched line by line."""

    name: str
    arguments: tuple[str, ...]
    code: int = 0
    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    folder: str = "shared"  # or no_data, corrupt, other
    without: tuple[str, ...] = ()  # environment variables taken away
    silent: bool = False  # nothing on stdout but the banner, nothing on stderr


USAGE = (
    Fact("version", ("--version",), stdout=("^0\\.1\\.0$",)),
    Fact("help", ("--help",), stdout=("^Usage: content-creator", "^  create \\[options\\]", "^  cancel \\[options\\]")),
    Fact("help of create", ("create", "--help"), stdout=("--topic <topic>", "--min-words <number>", "--mode <mode>")),
    Fact("no command", (), 1, stderr=("^Usage: content-creator",)),
    Fact("unknown command", ("bogus",), 1, stderr=("^error: unknown command 'bogus'",)),
    Fact(
        "no webhook option",
        (*CREATE, "--topic=t", "--requirements=r", "--callback-url=http://127.0.0.1/"),
        1,
        stderr=("^error: unknown option '--callback-url",),
    ),
    Fact(
        "no idempotency key",
        (*CREATE, "--topic=t", "--requirements=r", "--idempotency-key", "k"),
        1,
        stderr=("^error: unknown option '--idempotency-key'",),
    ),
    Fact("no abbreviations", (*CREATE, "--top", "x"), 1, stderr=("^error: unknown option '--top'",)),
    Fact(
        "no stray words",
        (*CREATE, "--topic=t", "--requirements=r", "extra"),
        1,
        stderr=("^error: too many arguments for 'create'\\. Expected 0 arguments but got 1\\.$",),
    ),
    Fact(
        "no words after a double dash",
        (*CREATE, "--topic=t", "--requirements=r", "--", "extra"),
        1,
        stderr=("^error: too many arguments for 'create'",),
    ),
    Fact("a value is missing", ("status", "--task-id"), 1, stderr=("^error: option '-t, --task-id <taskId>' arg",)),
    Fact("an id is required", ("result",), 1, stderr=("^error: required option '-t, --task-id <taskId>' not spec",)),
)

CREATION = (
    Fact("topic required", (*CREATE, "--requirements=r"), 1, stderr=("^❌ 错误: 必须提供文章主题 \\(-t, --topic\\)$",)),
    Fact("empty topic", (*CREATE, "--topic=", "--requirements=r"), 1, stderr=("^❌ 错误: 必须提供文章主题",)),
    Fact("requirements required", (*CREATE, "--topic=t"), 1, stderr=("^❌ 错误: 必须提供创作要求 \\(-r, --req",)),
    Fact("blank topic", (*CREATE, "--topic=  ", "--requirements=r"), 1, stderr=("^❌ 错误: Topic is required$",)),
    Fact(
        "least above most",
        (*CREATE, "--topic=t", "--requirements=r", "--min-words=900", "--max-words=100"),
        1,
        stderr=("^❌ 错误: minWords cannot be greater than maxWords$",),
    ),
    Fact(
        "one workflow",
        (*CREATE, "--topic=t", "--requirements=r", "--type=translation"),
        1,
        stderr=('^❌ 错误: 不支持的工作流类型 "translation"$',),
    ),
    Fact(
        "created",
        (*CREATE, "--topic=主题", "--requirements=要求"),
        stdout=("^✅ 任务已成功创建$", "^任务ID: [0-9a-f-]{36}$", "^主题: 主题$", "^状态: 等待 Worker 处理$"),
    ),
    Fact(
        "a topic can forge an id line",
        (*CREATE, "--topic=t\n任务ID: 00000000-0000-4000-8000-000000000000", "--requirements=r"),
        stdout=("^任务ID: 00000000-0000-4000-8000-000000000000$", "^✅ 任务已成功创建$"),
    ),
    Fact(
        "a value may look like an option",
        (*CREATE, "--topic", "--mode", "--requirements=--help"),
        stdout=("^主题: --mode$", "^要求: --help$", "^任务ID: "),
    ),
    Fact("short and glued", ("create", "-t--foo", "-rbar", "--mode=async"), stdout=("^主题: --foo$", "^要求: bar$")),
    Fact(
        "the last duplicate wins",
        (*CREATE, "--topic=first", "--topic=second", "--requirements=r"),
        stdout=("^主题: second$",),
        absent=("^主题: first$",),
    ),
    Fact(
        "lengths that are no numbers set no limit",
        (*CREATE, "--topic=t", "--requirements=r", "--min-words=abc", "--max-words="),
        stdout=("^✅ 任务已成功创建$",),
    ),
    Fact(
        "a failed synchronous task says success and exits 0",
        ("create", "--topic=FAIL 同步", "--requirements=r", "--mode=bogus"),
        stdout=("^✅ 执行成功$", "^状态: 失败$", "^任务ID: [0-9a-f-]{36}$"),
        stderr=("任务执行完成",),
        absent=("^📝 生成的内容:$",),
    ),
)

QUERIES = (
    Fact("status pending", ("status", "--task-id={pending}"), stdout=("^状态: ⏳ 待处理$", "^执行模式: 异步$")),
    Fact("status completed", ("status", "-t", "{completed}"), stdout=("^状态: ✅ 已完成$", "^Worker ID: w-1$")),
    Fact(
        "status failed, its cause overwritten",
        ("status", "--task-id={failed}"),
        stdout=(
            "^状态: ❌ 失败$",
            "^错误信息:$",
            "^Failed to claim task {failed} \\(version mismatch or already claimed",
        ),
    ),
    Fact(
        "status of a failed synchronous task keeps its cause",
        ("status", "--task-id={sync_failed}"),
        stdout=("^状态: ❌ 失败$", "^执行模式: 同步$", "^Request failed with status code 400$"),
        absent=("^开始时间: ",),
    ),
    Fact("status unknown", ("status", "--task-id={unknown}"), 1, stderr=("^❌ 错误: 未找到任务 {unknown}$",)),
    Fact("result pending", ("result", "--task-id={pending}"), stdout=(f"^{NOT_YET}⏳ 待处理$",)),
    Fact("result pending, json", ("result", "-t{pending}", "--format=json"), stdout=(f"^{NOT_YET}⏳ 待处理$",)),
    Fact("result failed", ("result", "--task-id={failed}"), stdout=(f"^{NOT_YET}❌ 失败$",)),
    Fact("result unknown", ("result", "--task-id={unknown}"), 1, stderr=("^❌ 错误: 未找到任务 {unknown}$",)),
    Fact(
        "result completed",
        ("result", "--task-id={completed}"),
        stdout=("^1\\. ARTICLE$", "^内容:$", "^字数: \\d+$", "^2\\. IMAGE$", "^图片 URL:$", f"^{LINE}$"),
    ),
    Fact(
        "result of a synchronous task holds all pictures in one row",
        ("result", "--task-id={sync}"),
        stdout=("^1\\. ARTICLE$", "^2\\. IMAGE$", '^\\[\\{"url":".*\\}\\]$'),
        absent=("^3\\. IMAGE$",),
    ),
    Fact("result in an unknown format is text", ("result", "-t{completed}", "--format=x"), stdout=("^1\\. ARTICLE$",)),
    Fact(
        "result as json has no article",
        ("result", "--task-id={completed}", "--format=json"),
        stdout=('^  "status": "completed",$', '^  "taskId": "{completed}",$'),
        absent=("ARTICLE", '"content"'),
    ),
    Fact("list by state", ("list", "--json", "--status=failed"), stdout=("{failed}",), absent=("{completed}",)),
    Fact("list by an unknown state", ("list", "--json", "--status=bogus"), stdout=("^\\[\\]$",)),
    Fact("list by mode", ("list", "--json", "--mode=sync"), stdout=("{sync}",), absent=("{pending}", "{failed}")),
    Fact("list without limit", ("list", "--json", "--limit=-1"), stdout=("{pending}", "{completed}", "{sync}")),
    Fact("list past the end", ("list", "--json", "--offset=1000"), stdout=("^\\[\\]$",)),
    Fact("list for people", ("list", "--status=failed", "--mode=async"), stdout=("^   ID:        {failed}$", "失败$")),
)

REQUEUING = (
    Fact("retry unknown", ("retry", "--task-id={unknown}"), 1, stdout=("^❌ 任务不存在$",)),
    Fact("retry completed", ("retry", "--task-id={completed}"), stdout=("^⚠️  任务已完成，如需重新执行请创建新任务$",)),
    Fact("retry failed says success", ("retry", "--task-id={failed}"), stdout=("^✅ 任务已添加到队列！$",)),
    Fact("retry of nothing is help", ("retry",), stdout=("^请指定要重新执行的任务：$",)),
    Fact(
        "retry on trial",
        ("retry", "--task-id={pending}", "--dry-run"),
        stdout=("^🔍 \\[模拟运行\\] 将会执行以下操作:$",),
    ),
    Fact("cancel never works", ("cancel", "--task-id={pending}"), 1, stderr=("^✖ 操作失败$", "^❌ 错误: ")),
)

SURROUNDINGS = (
    Fact(
        "a missing key",
        ("list",),
        1,
        stderr=("^Environment variable validation failed:$", "LLM_API_KEY"),
        without=("LLM_API_KEY",),
    ),
    Fact("no data folder is a silent death", ("list", "--json"), 1, folder="no_data", silent=True),
    Fact("even for help", ("--help",), 1, folder="no_data", silent=True),
    Fact("so is a broken database", ("list", "--json"), 1, folder="corrupt", silent=True),
    Fact("another folder knows nothing", ("status", "-t{pending}"), 1, stderr=("未找到任务",), folder="other"),
)

FACTS = USAGE + CREATION + QUERIES + REQUEUING + SURROUNDINGS

LISTED_KEYS = [
    *("id", "taskId", "mode", "type", "topic", "requirements", "hardConstraints", "status", "priority", "version"),
    *("textRetryCount", "imageRetryCount", "targetAudience", "currentStep", "errorMessage", "workerId"),
    *("startedAt", "completedAt", "createdAt", "updatedAt"),
]
