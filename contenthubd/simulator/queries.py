"""`list`, `status` and `result`: what the table holds, printed as the original prints it."""

import json
import time

from contenthubd.simulator import screen, store
from contenthubd.simulator.options import Values, whole_number
from contenthubd.simulator.screen import NO_TRANSPORTS, Screen

LISTED = {"pending": "等待中", "running": "运行中", "completed": "已完成", "failed": "失败", "cancelled": "已取消"}
MODES = {"sync": "同步", "async": "异步"}
PRIORITIES = {1: "低", 2: "普通", 3: "高", 4: "紧急"}


def list_tasks(values: Values, database: store.Database, page: Screen) -> int:
    """A page of tasks, newest first."""
    limit, offset = whole_number(values["limit"]) or 20, whole_number(values["offset"]) or 0
    rows = store.find_many(database, values["status"], values["mode"], limit, offset)
    if values["json"]:
        page.say(json.dumps([shown(row) for row in rows], ensure_ascii=False, indent=2))
        return 0
    page.rule(100)
    page.say("📋 历史任务列表")
    page.rule(100)
    for number, row in enumerate(rows, 1):
        list_one(number, row, page)
    if rows:
        page.say(
            "💡 查看任务详情：",
            "  pnpm run cli:status --task-id <任务ID>",
            "  pnpm run cli:result --task-id <任务ID>",
            "",
        )
    else:
        page.say("暂无任务记录", "", "💡 提示：使用以下命令创建新任务")
        page.say('  pnpm run cli:create --topic "文章主题" --requirements "创作要求"', "")
    return 0


def list_one(number: int, row: store.Row, page: Screen) -> None:
    """A task as `list` shows it to a person."""
    page.say(f"{number}. {row['topic']}", f"   ID:        {row['id']}")
    page.say(f"   状态:      {LISTED.get(row['status'], row['status'])}", f"   模式:      {MODES[row['mode']]}")
    page.say(f"   创建时间:  {ago(row['created_at'])}", f"   耗时:      {took(row['started_at'], row['completed_at'])}")
    if row["error_message"]:
        page.say(f"   错误:      {row['error_message']}")
    page.blank()


def shown(row: store.Row) -> dict[str, object]:
    """A task as JSON; what is undefined in the original is left out."""
    fields: dict[str, object] = {"id": row["id"], "taskId": row["id"]}
    fields |= {key: row[key] for key in ("mode", "type", "topic", "requirements")}
    if row["hard_constraints"]:
        fields["hardConstraints"] = json.loads(row["hard_constraints"])
    fields |= {"status": row["status"], "priority": row["priority"] or 2, "version": row["version"] or 1}
    fields |= {"textRetryCount": 0, "imageRetryCount": 0, "targetAudience": "general"}
    fields |= {"currentStep": row["current_step"], "errorMessage": row["error_message"], "workerId": row["worker_id"]}
    fields |= {
        name: row[key] for name, key in (("startedAt", "started_at"), ("completedAt", "completed_at")) if row[key]
    }
    return fields | {"createdAt": row["created_at"], "updatedAt": row["updated_at"]}


def status(values: Values, database: store.Database, page: Screen) -> int:
    """One task's state, times and error."""
    task = store.find(database, values["task-id"])
    if task is None:
        return not_found(values["task-id"], page)
    page.say("", "📊 任务状态")
    page.rule()
    page.say(f"任务ID: {task['id']}", f"状态: {screen.STATUS[task['status']]}", "当前步骤: 无")
    page.say(f"执行模式: {MODES[task['mode']]}", f"优先级: {PRIORITIES.get(task['priority'], '普通')}")
    page.rule()
    page.say(f"创建时间: {local(task['created_at'])}")
    if task["started_at"]:
        page.say(f"开始时间: {local(task['started_at'])}")
    if task["completed_at"]:
        whole = milliseconds(task["completed_at"]) - milliseconds(task["created_at"])
        page.say(f"完成时间: {local(task['completed_at'])}", f"总耗时: {screen.seconds(whole)}")
    page.rule()
    if task["error_message"]:
        page.say("错误信息:", task["error_message"])
        page.rule()
    if task["worker_id"]:
        page.say(f"Worker ID: {task['worker_id']}")
        page.rule()
    page.complain(NO_TRANSPORTS)
    return 0


def result(values: Values, database: store.Database, page: Screen) -> int:
    """The article and the pictures; exit code 0 also when there are none yet. JSON never holds the article."""
    task = store.find(database, values["task-id"])
    if task is None:
        return not_found(values["task-id"], page)
    page.complain(NO_TRANSPORTS)
    if task["status"] != "completed":
        page.say(f"⚠️  任务尚未完成，当前状态: {screen.STATUS[task['status']]}")
        return 0
    if values["format"] == "json":
        page.say(json.dumps(shown(task), ensure_ascii=False, indent=2))
        return 0
    page.say("", "📄 任务结果")
    page.rule()
    page.say(f"任务ID: {task['id']}", f"状态: {screen.STATUS['completed']}")
    page.rule()
    rows = store.results(database, task["id"])
    if not rows:
        page.say("提示: 该任务未生成结果")
        return 0
    page.say("", "📋 生成结果")
    page.rule()
    for number, row in enumerate(rows, 1):
        show_result(number, row, page)
    return 0


def show_result(number: int, row: store.Row, page: Screen) -> None:
    """One result, the article with its length in UTF-16 units."""
    page.say(f"{number}. {row['result_type'].upper()}")
    page.rule()
    if row["result_type"] == "article":
        page.say("内容:", row["content"] or "(无内容)")
        count = json.loads(row["metadata"] or "{}").get("wordCount")
        page.say(f"字数: {count}" if count else "")
    else:
        page.say("图片 URL:", row["content"] or "(无 URL)")
    page.rule()


def not_found(task_id: str, page: Screen) -> int:
    """An id that nobody knows here."""
    page.complain(f"❌ 错误: 未找到任务 {task_id}\n{NO_TRANSPORTS}")
    return 1


def milliseconds(stamp: str) -> int:
    """A stored time as milliseconds since 1970."""
    import calendar

    return calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")) * 1000 + int(stamp[20:23])


def local(stamp: str) -> str:
    """A stored time in local time, the way Chinese readers write it."""
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(milliseconds(stamp) / 1000))


def ago(stamp: str) -> str:
    """How long ago a stored time was."""
    passed = int(time.time()) - milliseconds(stamp) // 1000
    if passed >= 86400:
        return local(stamp)[5:16]
    for size, unit in ((3600, "小时"), (60, "分钟")):
        if passed >= size:
            return f"{passed // size}{unit}前"
    return f"{max(passed, 0)}秒前"


def took(started: str | None, completed: str | None) -> str:
    """How long a task ran."""
    if not started:
        return "-"
    if not completed:
        return "进行中..."
    passed = milliseconds(completed) - milliseconds(started)
    if passed < 1000:
        return f"{passed}ms"
    return f"{passed // 1000}s" if passed < 60000 else f"{passed // 60000}m {passed // 1000 % 60}s"
