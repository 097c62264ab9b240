"""`create`: asynchronous by a row and a job, or synchronous in this process."""

from contenthubd.simulator import behaviour, generation, log, queue_server, store
from contenthubd.simulator.options import Values, whole_number
from contenthubd.simulator.queue_server import Refused
from contenthubd.simulator.screen import Screen

SEARCH_SECONDS = 30.0


def create(values: Values, database: store.Database, page: Screen) -> int:
    """Check, show what was asked, then create in the asked mode: anything but `async` is synchronous."""
    for key, name, short in (("topic", "文章主题", "t"), ("requirements", "创作要求", "r")):
        if not values[key]:
            page.complain(f"❌ 错误: 必须提供{name} (-{short}, --{key})")
            return 1
    if values["type"] != "content-creator":
        page.complain(f'❌ 错误: 不支持的工作流类型 "{values["type"]}"')
        page.say("", "💡 支持的工作流类型：", "  - content-creator", "", "使用以下命令查看所有可用的工作流：")
        page.say("  pnpm run cli workflow list", "")
        return 1
    show_request(values, page)
    page.flush()
    if values["mode"] != "async":
        return run_now(values, database, page)
    try:
        enqueue(values, database, page)
    except Refused as refused:
        log.error(page, "CLI:Create", "Create command failed", error={"message": str(refused), "name": "Error"})
        page.complain(f"\n❌ 错误: {refused}\n\n堆栈信息:\nError: {refused}")
        return 1
    return 0


def show_request(values: Values, page: Screen) -> None:
    """Echo the request, unescaped."""
    page.say("", "🚀 创建内容创作任务")
    page.rule()
    rows = [("工作流类型", "type"), ("主题", "topic"), ("要求", "requirements"), ("受众", "audience"), ("语气", "tone")]
    rows += [("关键词", "keywords")] if values["keywords"] else []
    for label, key in [*rows, ("执行模式", "mode"), ("优先级", "priority")]:
        page.say(f"{label}: {values[key]}")
    page.rule()
    page.say("✅ 使用 SQLite 持久化存储")


def constraints_of(values: Values) -> dict[str, object]:
    """The stored constraints; what is no number sets no limit. Synchronous tasks forget the keywords."""
    found: dict[str, object] = {}
    for key, name in (("min-words", "minWords"), ("max-words", "maxWords")):
        number = whole_number(values[key])
        if number:
            found[name] = number
    if values["keywords"] and values["mode"] == "async":
        found["keywords"] = [word.strip() for word in values["keywords"].split(",")]
    return found


def enqueue(values: Values, database: store.Database, page: Screen) -> None:
    """Store a pending task and its job. Raises Refused."""
    settings = behaviour.load()
    queue_server.require(settings.number("redis_hang_seconds"))
    page.complain("- 添加任务到队列...")
    constraints = constraints_of(values)
    low, high = constraints.get("minWords"), constraints.get("maxWords")
    if not values["topic"].strip():
        raise Refused("Topic is required")
    if not values["requirements"].strip():
        raise Refused("Requirements are required")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        raise Refused("minWords cannot be greater than maxWords")
    database.execute("BEGIN IMMEDIATE")
    task_id = store.insert_task(database, "async", values["topic"], values["requirements"], constraints)
    store.insert_job(database, task_id, store.QUEUE_PRIORITY.get(values["priority"], store.QUEUE_PRIORITY["normal"]))
    database.execute("COMMIT")
    page.complain("✔ 任务已添加到队列!")
    show_created(task_id, page)


def show_created(task_id: str, page: Screen) -> None:
    """The answer to an asynchronous create."""
    page.say("", "✅ 任务已成功创建")
    page.rule()
    page.say(f"任务ID: {task_id}", "模式: 异步（队列）", "状态: 等待 Worker 处理")
    page.rule()
    page.say("", "💡 后续操作：", "1. 查询任务状态：", f"   pnpm run cli result --task-id {task_id}", "")
    page.say("2. 确保 Worker 正在运行：", "   pnpm run worker", "", "3. 查看监控面板：", "   pnpm run monitor")
    page.rule()


def run_now(values: Values, database: store.Database, page: Screen) -> int:
    """Generate in this process; exit code 0 even when the task failed. A kill leaves the row running forever."""
    settings = behaviour.load()
    page.complain("- 初始化中...")
    task_id = store.insert_task(database, "sync", values["topic"], values["requirements"], constraints_of(values))
    task = fetch(database, task_id)
    store.begin(database, task, None)
    task = fetch(database, task_id)
    plan = without_redis() or generation.plan(task, store.ordinal(database, task), settings)
    behaviour.sleep(plan.seconds)
    generation.die_if_told(task)
    text = "" if plan.cause else generation.write(task, settings)
    pictures = [] if plan.cause else generation.draw(task, settings)
    if plan.cause:
        generation.tell_cause(page, task_id, plan.cause)
        fields = {"taskId": task_id, "workflowType": "content-creator", "error": plan.cause}
        log.error(page, "SyncExecutor", "Workflow execution error", **fields)
        log.error(page, "SyncExecutor", "Task execution failed", **fields, stack=f"Error: {plan.cause}")
        store.finish(database, task_id, task["version"], "failed", plan.cause)
    else:
        generation.save(database, task, text, pictures)
        complain_of_quality_check(page, task_id)
        store.finish(database, task_id, task["version"], "completed")
    page.complain("✔ 任务执行完成!")
    show_outcome(task_id, plan, text, pictures, page)
    return 0


def fetch(database: store.Database, task_id: str) -> store.Row:
    """A task that is known to exist."""
    row = store.find(database, task_id)
    if row is None:
        raise LookupError(task_id)
    return row


def without_redis() -> generation.Plan | None:
    """With REDIS_URL set and nobody there, the search of a synchronous task waits until its limit."""
    if queue_server.wait(SEARCH_SECONDS):
        return None
    return generation.Plan(0, "Node timeout: search exceeded 30000ms")


def complain_of_quality_check(page: Screen, task_id: str) -> None:
    """The noise of every healthy synchronous run: the original cannot store its own quality report."""
    log.error(
        page, "SQLite:QualityCheckRepository", "Failed to create quality check",
        error={}, params={"taskId": task_id, "checkType": "text", "score": 9, "passed": True},
    )  # fmt: skip


def show_outcome(
    task_id: str, plan: generation.Plan, text: str, pictures: list[generation.Picture], page: Screen
) -> None:
    """The answer to a synchronous create, which says success in its first line whatever happened."""
    page.say("", "✅ 执行成功")
    page.rule()
    page.say(f"任务ID: {task_id}", f"状态: {'失败' if plan.cause else '已完成'}", f"耗时: {int(plan.seconds)}秒")
    page.say("步骤: ", "Token: 0", "成本: ¥0.0000")
    page.rule()
    if not text:
        return
    show_block("📝 生成的内容:", [text], page)
    if pictures:
        show_block("🖼️ 生成的配图:", [str(item["url"]) for item in pictures], page)
    show_block("🔍 文本质检:", ["状态: 通过", "评分: 9/100"], page)
    complain_of_quality_check(page, task_id)


def show_block(heading: str, lines: list[str], page: Screen) -> None:
    """A heading and lines between separators."""
    page.say("", heading)
    page.rule()
    page.say(*lines)
    page.rule()
