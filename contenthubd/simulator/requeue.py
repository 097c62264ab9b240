"""`retry`: puts a job into the queue again. It helps only a pending task whose job was lost.

For a task whose job still waits it makes a second job, and whichever comes later fails to claim the running task and
marks it failed. For a failed task it says success, and the claim fails.
"""

from contenthubd.simulator import behaviour, queue_server, store
from contenthubd.simulator.options import Values, whole_number
from contenthubd.simulator.queries import local
from contenthubd.simulator.queue_server import Refused
from contenthubd.simulator.screen import Screen

NEXT = "💡 后续操作："
ENSURE_WORKER = "   1. 确保 Worker 正在运行: pnpm run worker"
DRY_RUN = ("💡 这是模拟运行，没有实际执行", "   去掉 --dry-run 参数即可实际执行", "")
HELP = (
    "请指定要重新执行的任务：",
    "1. 重新执行单个任务：",
    "   pnpm run cli:retry --task-id <任务ID>",
    "",
    "2. 批量重新执行所有等待任务：",
    "   pnpm run cli:retry --all",
    "",
    "3. 批量重新执行失败任务：",
    "   pnpm run cli:retry --all --status failed",
    "",
    "4. 模拟运行（不实际执行）：",
    "   pnpm run cli:retry --all --dry-run",
    "",
)
REFUSALS = {"running": "⚠️  任务正在运行中，无需重新执行", "completed": "⚠️  任务已完成，如需重新执行请创建新任务"}


def retry(values: Values, database: store.Database, page: Screen) -> int:
    """One task, or a batch, or help."""
    page.rule(80)
    page.say("🔄 重新执行任务")
    page.rule(80)
    try:
        if values["task-id"]:
            return retry_one(values, database, page)
        if values["all"]:
            return retry_many(values, database, page)
    except Refused as refused:
        page.complain(f"❌ 重新执行失败： {refused}")
        return 1
    page.say(*HELP)
    return 0


def retry_one(values: Values, database: store.Database, page: Screen) -> int:
    """Add a job for one task, unless it runs or is done."""
    task = store.find(database, values["task-id"])
    page.say(f"📝 任务 ID: {values['task-id']}", "")
    if task is None:
        page.say("❌ 任务不存在")
        return 1
    page.say("任务信息:", f"  主题: {task['topic']}", f"  状态: {task['status']}", f"  模式: {task['mode']}")
    page.say(f"  创建时间: {local(task['created_at'])}", "")
    if task["status"] in REFUSALS:
        page.say(REFUSALS[task["status"]])
        return 0
    if values["dry-run"]:
        page.say(
            "🔍 [模拟运行] 将会执行以下操作:", "  1. 将任务添加到 Redis 队列", "  2. Worker 将会获取并处理该任务", ""
        )
        page.say(*DRY_RUN)
        return 0
    page.say("⏳ 正在添加到队列...")
    add_job(database, task["id"], page)
    page.say("✅ 任务已添加到队列！", "", NEXT, ENSURE_WORKER)
    page.say(f"   2. 查看任务状态: pnpm run cli:status --task-id {task['id']}", "")
    return 0


def retry_many(values: Values, database: store.Database, page: Screen) -> int:
    """Add a job for each task of one state."""
    limit = whole_number(values["limit"]) or 10
    page.say(f"📊 批量重新执行 {values['status']} 状态的任务", f"限制: {limit} 个", "")
    tasks = store.find_many(database, values["status"], "", limit)
    if not tasks:
        page.say("✅ 没有找到需要重新执行的任务", "")
        return 0
    page.say(f"找到 {len(tasks)} 个任务", "", "任务列表:")
    for number, task in enumerate(tasks, 1):
        page.say(f"  {number}. {task['id']}", f"     主题: {task['topic']}", f"     状态: {task['status']}", "")
    if values["dry-run"]:
        page.say("🔍 [模拟运行] 将会执行以下操作:", f"  将 {len(tasks)} 个任务添加到 Redis 队列", "", *DRY_RUN)
        return 0
    page.say("⏳ 正在批量添加到队列...", "")
    for task in tasks:
        add_job(database, task["id"], page)
        page.say(f"✅ {task['id']}")
    page.say("", "📊 执行结果：", f"   成功: {len(tasks)} 个", "")
    page.say(NEXT, ENSURE_WORKER, "   2. 查看任务列表: pnpm run cli:list", "")
    return 0


def add_job(database: store.Database, task_id: str, page: Screen) -> None:
    """A new job, once the queue's server answers. Raises Refused."""
    page.flush()
    queue_server.require(behaviour.load().number("redis_hang_seconds"))
    store.insert_job(database, task_id, store.RETRY_PRIORITY)
