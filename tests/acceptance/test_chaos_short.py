"""One fault of every kind in one run, each held until it was felt; then everything that must be true is."""

from tests.chaos import plan
from tests.chaos.run import Options, run

SEED = 7
TASKS = 25


async def test_nothing_is_lost_or_doubled_by_one_fault_of_every_kind() -> None:
    told: list[str] = []

    report = await run(Options(SEED, minutes=0, tasks=TASKS, paced=False, tell=told.append))

    assert report.sound, "\n".join([*told, str(report)])
    assert sum(report.states.values()) == TASKS
    assert set(report.faults.values()) == {1}
    assert len(report.faults) == len(plan.all_kinds())


def test_the_seed_alone_makes_the_plan() -> None:
    assert plan.faults(SEED, 1) == plan.faults(SEED, 1)
    assert plan.orders(SEED, TASKS) == plan.orders(SEED, TASKS)
    assert plan.faults(SEED, 1) != plan.faults(SEED + 1, 1)


def test_every_kind_comes_once_before_any_comes_again() -> None:
    kinds = plan.all_kinds()

    steps = plan.faults(SEED, 5)

    assert len(steps) > len(kinds)
    assert sorted((step.part, step.kind) for step in steps[: len(kinds)]) == sorted(kinds)


def test_every_task_of_the_plan_has_a_topic_and_a_key_of_its_own() -> None:
    orders = plan.orders(SEED, 300)
    requests = [request for order in orders for request in order.requests]

    assert len(requests) == 300
    assert len({request["topic"] for request in requests}) == 300
    assert len({order.key for order in orders}) == len(orders)
