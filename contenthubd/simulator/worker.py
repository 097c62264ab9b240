"""The worker: takes jobs, lets each take its time, stores what it came to.

One loop and no threads, since generating is only waiting. As in the original a job is tried three times, and the second
and third try can only fail to claim a task that is not pending any more, each time overwriting the error text: the true
cause stays in the logs alone. SIGTERM takes no new job and waits for the running ones without limit.
"""

import os
import signal
import time
from collections import namedtuple

from contenthubd.simulator import behaviour, generation, log, store
from contenthubd.simulator.behaviour import Behaviour
from contenthubd.simulator.options import Values, whole_number
from contenthubd.simulator.screen import Screen

TRIES = 3
TICK_SECONDS = 0.02
TOUCH_SECONDS = 0.5

# a job being worked on: its row, the task as claimed, what will come of it, and when (monotonic seconds)
Active = namedtuple("Active", "job task plan ends_at")


class Worker:
    """One worker with its slots; several may share a directory."""

    def __init__(self, database: store.Database, values: Values, page: Screen) -> None:
        self.database = database
        self.page = page
        self.worker_id = values["worker-id"] or os.environ.get("WORKER_ID") or f"worker-{store.new_id()}"
        self.slots = whole_number(values["concurrency"]) or 2
        self.active: list[Active] = []
        self.stopping = False
        self.touched_at = 0.0

    def serve(self) -> int:
        """Work until SIGTERM or SIGINT, then until the running jobs have ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        while self.active or not self.stopping:
            settings = behaviour.load()
            self.touch(settings)
            while len(self.active) < self.slots and self.take(settings):
                pass
            for one in [one for one in self.active if time.monotonic() >= one.ends_at]:
                self.active.remove(one)
                self.conclude(one, settings)
            self.page.flush()
            time.sleep(TICK_SECONDS)
        return 0

    def stop(self, number: int, frame: object) -> None:
        """Take no new job."""
        self.stopping = True

    def touch(self, settings: Behaviour) -> None:
        """Show now and then that we live, and free the jobs of those that do not."""
        if time.monotonic() - self.touched_at >= TOUCH_SECONDS:
            store.touch_jobs(self.database, self.worker_id, settings.number("abandoned_seconds"))
            self.touched_at = time.monotonic()

    def take(self, settings: Behaviour) -> bool:
        """Begin the next job that is due; says whether there was one."""
        if self.stopping or settings.flag("deaf"):
            return False
        job = store.take_job(self.database, self.worker_id)
        if job is None:
            return False
        task = store.find(self.database, job["task_id"])
        if task is None:
            self.fail(job, None, f"Task not found: {job['task_id']}", settings)
        elif store.begin(self.database, task, self.worker_id):
            plan = generation.plan(task, store.ordinal(self.database, task), settings)
            self.active.append(Active(job, task, plan, time.monotonic() + plan.seconds))
        else:
            cause = f"Failed to claim task {task['id']} (version mismatch or already claimed)"
            self.fail(job, task["version"], cause, settings)
        return True

    def conclude(self, one: Active, settings: Behaviour) -> None:
        """Store what a job came to."""
        generation.die_if_told(one.task)
        version = one.task["version"] + 1  # claiming it was one step
        if one.plan.cause:
            generation.tell_cause(self.page, one.task["id"], one.plan.cause)
            self.fail(one.job, version, one.plan.cause, settings)
            return
        text = generation.write(one.task, settings)
        generation.save(self.database, one.task, text, generation.draw(one.task, settings))
        store.finish(self.database, one.task["id"], version, "completed")
        store.end_job(self.database, one.job, None)

    def fail(self, job: store.Row, version: int | None, cause: str, settings: Behaviour) -> None:
        """Log the cause, mark the task failed, and have the job tried again if tries are left."""
        fields = {"jobId": str(job["id"]), "taskId": job["task_id"], "error": cause}
        log.error(self.page, "TaskWorker", "Job failed", **fields, workflowType="content-creator")
        if version is not None:
            store.finish(self.database, job["task_id"], version, "failed", cause)
        log.error(self.page, "TaskWorker", "Job failed", **fields, stack=f"Error: {cause}")
        pause = settings.number("retry_seconds") * 2 ** job["tries"]
        store.end_job(self.database, job, time.time() + pause if job["tries"] + 1 < TRIES else None)
