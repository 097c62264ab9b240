"""What happens to an article: its images are fetched, people decide about it, and it is published once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import anyio
import pytest
from sqlalchemy import text

from contenthubd.control.ids import short
from contenthubd.control.peer import Peer
from contenthubd.desk.contents import ContentDesk
from contenthubd.desk.search import Search
from contenthubd.domain.content import ContentEvent, ContentState
from contenthubd.domain.errors import Conflict, DatabaseUnavailable, FetchFailed, PublishFailed
from contenthubd.domain.outcome import Picture, Succeeded
from contenthubd.domain.publication import Publication, PublicationEvent, Receipt
from contenthubd.domain.task import Mode, Task
from contenthubd.ports.stage import Stage
from contenthubd.stages.fetch import IDLE
from tests.stages.house import POLICY, House
from tests.stages.scripted_creator import Create

SECOND = timedelta(seconds=1)


class Shelf:
    """A target in memory; fails as often as it is told."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.received: list[Publication] = []

    async def publish(self, publication: Publication) -> Receipt:
        self.received.append(publication)
        if self.faults:
            raise self.faults.pop(0)
        return Receipt(remote_id=publication.content_id.hex, location=f"/shelf/{publication.title}")


class Pictures:
    """A source of images; addresses that hold ``bad`` fail, those with ``gone`` for good."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, url: str, content_id: UUID, position: int) -> tuple[str, str, int]:
        self.asked.append(url)
        if "bad" in url:
            raise FetchFailed("HTTP 500", final="gone" in url)
        return f"{content_id.hex}/{position}.png", "image/png", 77


async def article(house: House, *urls: str, **values: Any) -> Task:
    """A completed task in one step."""
    pictures = tuple(Picture(url, f"画{number}") for number, url in enumerate(urls, 1))
    house.creator.script.append(Create(Succeeded("# 标题\n\n正文", pictures)))
    task = await house.claimed(mode=Mode.SYNC, **values)
    await house.attempts.run(task)
    return await house.now(task)


async def decide(house: House, task: Task, event: ContentEvent, seen: ContentState | None = None) -> None:
    content = await house.content(task)
    state = seen or ContentState(content.state)
    await house.review(content.id, state, event, by="ann", reason="because")


async def states(house: House, task: Task) -> tuple[str, str]:
    return (await house.content(task)).state, (await house.publication(task)).state


# ------------------------------------------------------------------------------------------------------------- images


async def test_images_are_fetched_and_publishing_is_woken(house: House) -> None:
    fetch = house.fetch_from(Pictures())
    assert await fetch.tick() == IDLE
    task = await article(house, "https://i/1", "https://i/2")
    assert await fetch.tick() == timedelta()
    rows = await house.database.rows(text("SELECT * FROM image ORDER BY position"))
    content = await house.content(task)
    assert [(row.state, row.path, row.media_type, row.bytes) for row in rows] == [
        ("fetched", f"{content.id.hex}/{number}.png", "image/png", 77) for number in (1, 2)
    ]
    assert house.rung[Stage.PUBLISH] == 1
    assert (await house.facts(task))[-2:] == ["image_fetched", "image_fetched"]
    assert await fetch.tick() == IDLE


async def test_an_image_that_fails_is_tried_again_and_then_lost_but_never_the_article(house: House) -> None:
    pictures, shelf = Pictures(), Shelf()
    fetch, publish = house.fetch_from(pictures, max_retries=2), house.publish_to({"shelf": shelf})
    task = await article(house, "https://bad/1", "https://i/2")
    for delay in (30, 60):
        await fetch.tick()
        await publish.tick()
        assert shelf.received == [], "an article waits for its images"
        assert await fetch.tick() == min(timedelta(seconds=delay), IDLE)
        house.clock.advance(delay)
    await fetch.tick()
    assert await fetch.tick() == IDLE
    assert pictures.asked == ["https://bad/1", "https://i/2", "https://bad/1", "https://bad/1"]
    assert [name for name in await house.facts(task) if "image" in name] == [
        "image_failed", "image_fetched", "image_failed", "image_lost",
    ]  # fmt: skip
    await publish.tick()
    [published] = shelf.received
    assert [(image.position, image.path, image.prompt) for image in published.images] == [
        (2, f"/images/{published.content_id.hex}/2.png", "画2")
    ]
    assert await house.value("SELECT error FROM image WHERE position = 1") == "HTTP 500"


async def test_an_image_that_is_gone_is_lost_at_once(house: House) -> None:
    pictures = Pictures()
    await article(house, "https://bad/gone")
    await house.fetch_from(pictures).tick()
    assert await house.value("SELECT state FROM image") == "lost"
    assert len(pictures.asked) == 1


async def test_an_address_that_hangs_holds_up_no_other(house: House) -> None:
    class Hanging(Pictures):
        """The first address answers once the second one was asked for."""

        def __init__(self) -> None:
            super().__init__()
            self.second = anyio.Event()

        async def fetch(self, url: str, content_id: UUID, position: int) -> tuple[str, str, int]:
            if position == 1:
                await self.second.wait()
            self.second.set()
            return await super().fetch(url, content_id, position)

    await article(house, "https://i/1", "https://i/2")
    with anyio.fail_after(60):
        await house.fetch_from(Hanging()).tick()
    assert await house.value("SELECT count(*) FROM image WHERE state = 'fetched'") == 2


async def test_images_come_page_by_page(house: House) -> None:
    pictures = Pictures()
    fetch = house.fetch_from(pictures)
    await article(house, *(f"https://i/{number}" for number in range(12)))
    assert await fetch.tick() == timedelta()
    assert len(pictures.asked) == 10
    assert await fetch.tick() == timedelta()
    assert len(pictures.asked) == 12


# ---------------------------------------------------------------------------------------------------------- publishing


async def test_a_content_is_published_once(house: House) -> None:
    shelf = Shelf()
    publish = house.publish_to({"shelf": shelf})
    assert await publish.tick() == IDLE
    task = await article(house, keywords=["云", "算"])
    assert await publish.tick() == timedelta()
    assert await publish.tick() == IDLE
    [sent] = shelf.received
    assert (sent.account, sent.topic, sent.title, sent.body) == ("demo", "云计算", "标题", "# 标题\n\n正文")
    assert (sent.keywords, sent.task_id, sent.attempt) == (("云", "算"), task.task_id, 1)
    row = await house.publication(task)
    assert (row.state, row.remote_id, row.location) == ("published", sent.content_id.hex, "/shelf/标题")
    assert (row.published_at, row.owner) == (house.clock.now(), None)
    assert await states(house, task) == ("published", "published")
    assert (await house.facts(task))[-1] == "publication_succeeded"


async def test_the_pool_is_emptied_by_priority(house: House) -> None:
    shelf = Shelf()
    for priority in (9, 1, 5):
        await article(house, topic=f"第{priority}", priority=priority)
    await house.publish_to({"shelf": shelf}).tick()
    assert [sent.topic for sent in shelf.received] == ["第1", "第5", "第9"]


async def test_a_target_that_fails_is_tried_again_later_and_given_up(house: House) -> None:
    shelf = Shelf(*(PublishFailed("HTTP 503") for _ in range(3)))
    publish = house.publish_to({"shelf": shelf}, max_retries=2)
    task = await article(house)
    for delay in (30, 60):
        await publish.tick()
        row = await house.publication(task)
        assert (row.state, row.error, row.due_at) == (
            "retrying", "HTTP 503", house.clock.now() + timedelta(seconds=delay),
        )  # fmt: skip
        assert await publish.tick() == min(timedelta(seconds=delay), IDLE)
        house.clock.advance(delay)
    await publish.tick()
    assert await states(house, task) == ("approved", "failed")
    assert [name for name in await house.facts(task) if "publication" in name] == [
        "publication_failed", "publication_failed", "publication_gave_up",
    ]  # fmt: skip
    assert await publish.tick() == IDLE


async def test_an_unknown_target_is_told(house: House) -> None:
    task = await article(house)
    await house.publish_to({}).tick()
    assert "no publishing target 'shelf'" in (await house.publication(task)).error


async def test_what_a_dead_daemon_was_publishing_is_due_again(house: House) -> None:
    task = await article(house)
    await house.pool.claim_due(house.clock.now(), 10, house.owner, longest=POLICY.longest)
    assert await states(house, task) == ("approved", "publishing")
    shelf = Shelf()
    heir = House(house.database, house.clock, run="second")
    await heir.publish_to({"shelf": shelf}).tick()
    assert await states(house, task) == ("published", "published")
    assert shelf.received[0].attempt == 2


async def test_what_another_daemon_publishes_is_left_alone(house: House) -> None:
    task = await article(house)
    await house.pool.claim_due(house.clock.now(), 10, "f" * 32 + "/alive", longest=POLICY.longest)
    await house.publish_to({"shelf": Shelf()}).tick()
    assert await states(house, task) == ("approved", "publishing")


@pytest.mark.parametrize("fault", [DatabaseUnavailable("away"), OSError("disk full")])
async def test_a_tick_that_breaks_in_the_middle_leaves_nothing_stuck(house: House, fault: Exception) -> None:
    tasks = [await article(house, topic=f"第{number}") for number in range(3)]
    publish = house.publish_to({"shelf": Shelf(fault)})
    with pytest.raises(type(fault)):
        await publish.tick()
    await publish.tick()
    assert [await states(house, task) for task in tasks] == [("published", "published")] * 3


async def test_a_stale_publisher_changes_nothing(house: House) -> None:
    task = await article(house)
    [first], _ = await house.pool.claim_due(house.clock.now(), 10, house.owner, longest=POLICY.longest)
    await house.pool.release_stale("0" * 32, "")
    [second], _ = await house.pool.claim_due(house.clock.now(), 10, house.owner, longest=POLICY.longest)
    now = house.clock.now()
    receipt = Receipt("1", "/there")
    assert not await house.pool.settle_publication(first, PublicationEvent.SUCCEEDED, now=now, receipt=receipt)
    assert await states(house, task) == ("approved", "publishing")
    assert await house.pool.settle_publication(second, PublicationEvent.LOST_SIGHT, now=now, error="cut off")
    assert await states(house, task) == ("approved", "unknown")


# -------------------------------------------------------------------------------------------------------------- review


async def test_approving_puts_a_content_into_the_pool(house: House) -> None:
    task = await article(house, auto_approve=False)
    await decide(house, task, ContentEvent.APPROVED)
    content = await house.content(task)
    assert (content.state, content.reviewed_by, content.review_reason) == ("approved", "ann", "because")
    assert await states(house, task) == ("approved", "pending")
    assert (await house.facts(task))[-1] == "content_approved"
    await house.publish_to({"shelf": Shelf()}).tick()
    assert await states(house, task) == ("published", "published")


async def test_rejected_content_is_never_published(house: House) -> None:
    task, shelf = await article(house), Shelf()
    await decide(house, task, ContentEvent.REJECTED)
    assert await states(house, task) == ("rejected", "cancelled")
    publish = house.publish_to({"shelf": shelf})
    house.clock.advance(hours=1)
    assert await publish.tick() == IDLE
    assert shelf.received == []


async def test_who_changes_their_mind_starts_with_a_fresh_number_of_tries(house: House) -> None:
    task = await article(house)
    publish = house.publish_to({"shelf": Shelf(PublishFailed("no"))}, max_retries=1)
    await publish.tick()
    await decide(house, task, ContentEvent.REJECTED)
    assert await states(house, task) == ("rejected", "cancelled")
    await decide(house, task, ContentEvent.APPROVED)
    row = await house.publication(task)
    assert (row.state, row.retry_count, row.error, row.due_at) == ("pending", 0, None, house.clock.now())
    await publish.tick()
    assert await states(house, task) == ("published", "published")


async def test_a_content_that_is_just_being_sent_is_not_rejected(house: House) -> None:
    task = await article(house)
    [sent], _ = await house.pool.claim_due(house.clock.now(), 10, house.owner, longest=POLICY.longest)
    with pytest.raises(Conflict, match="changed in the meantime"):
        await decide(house, task, ContentEvent.REJECTED)
    assert await states(house, task) == ("approved", "publishing")
    retry_at = house.clock.now() + SECOND
    assert await house.pool.settle_publication(
        sent, PublicationEvent.FAILED, now=house.clock.now(), error="no", retry_at=retry_at
    )
    await decide(house, task, ContentEvent.REJECTED)
    assert await states(house, task) == ("rejected", "cancelled")
    house.clock.advance(5)
    assert await house.pool.claim_due(house.clock.now(), 10, house.owner, longest=POLICY.longest) == ([], None)


@pytest.mark.parametrize("event", list(ContentEvent)[:2])
async def test_what_was_published_is_decided(house: House, event: ContentEvent) -> None:
    task = await article(house)
    await house.publish_to({"shelf": Shelf()}).tick()
    with pytest.raises(Conflict, match="published and cannot be"):
        await decide(house, task, event)


async def test_of_two_decisions_at_once_the_second_is_told(house: House) -> None:
    task = await article(house, auto_approve=False)
    await decide(house, task, ContentEvent.APPROVED)
    with pytest.raises(Conflict, match="changed in the meantime"):
        await decide(house, task, ContentEvent.APPROVED, seen=ContentState.PENDING_REVIEW)
    assert await house.value("SELECT count(*) FROM publication") == 1


async def test_without_targets_an_approved_content_stays_here(house: House) -> None:
    alone = House(house.database, house.clock, targets=())
    task = await article(alone)
    assert (await alone.content(task)).state == "approved"
    assert await alone.publication(task) is None


async def test_an_article_that_was_approved_without_a_pool_gets_out_as_its_next_step_says(house: House) -> None:
    desk = ContentDesk(house.review, house.views, Search(house.views, house.accounts))
    task, ann = await article(house, auto_approve=False), Peer(uid=0, gid=0, pid=1, user="ann")
    tail = short(str((await house.content(task)).id))
    house.review.targets = ()
    approved = await desk.approve(tail, peer=ann, reason="")
    assert (approved.state, approved.publications) == ("approved", [])
    assert "[publish] auto_add_to_pool was false when it was approved" in approved.next_step
    house.review.targets = ("shelf",)  # the key is true again, and the daemon was reloaded
    for command in approved.next_step.rpartition("run: ")[2].split(" && "):
        program, noun, verb, fragment = command.split()
        assert (program, noun) == ("contenthubctl", "content")
        await getattr(desk, verb)(fragment, peer=ann, reason="")
    assert await states(house, task) == ("approved", "pending")
    await house.publish_to({"shelf": Shelf()}).tick()
    assert await states(house, task) == ("published", "published")
    assert (await desk.content(tail, with_body=False)).next_step == ""
