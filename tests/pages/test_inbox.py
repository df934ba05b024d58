"""The views of the inbox: who sees which request where, in which order, page after page."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.eligibility import is_asked, is_live, why_not
from approvals.models import Batch, Decision, Gate, Reviewer
from console.access import DEFAULT_PAGE_SIZE
from console.pages import requests
from console.pages.views import VIEWS
from console.roles import set_roles
from runs import forks
from tests.approvals.test_thresholds import rule
from tests.harness import World, admin, as_role
from tests.pages.visitors import Page, Visitor, make_person, visit_as


@pytest.fixture
def dave(world: World) -> Visitor:
    return visit_as(world.dave)


@pytest.fixture
def gates(world: World) -> dict[str, Gate]:
    """Open gates, each of which Bob stands to in another way; only `asked` is his to decide."""
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    world.policy(
        name="Treasury", above_minor=2_000_000, up_to_minor=3_000_000, group="treasury", quorum=1
    )
    with as_role("placet_owner"):
        Reviewer.objects.create(tenant=world.tenant, group="treasury", person=world.mallory)
    own = world.start("paying", by=world.bob, amounts=[200])
    world.settle()
    with as_role("placet_web"):
        fork = forks.fork(run=own, at=0, requested_by=world.alice)
    world.settle()
    found = {
        "asked": world.gates(world.park_at_gates(9870))[0],
        "voted": world.gates(world.park_at_gates(1_500_000))[0],
        "elsewhere": world.gates(world.park_at_gates(2_500_000))[0],
        "own": world.gates(own)[0],
        "forked": world.gates(fork)[0],
    }
    world.decide(found["voted"], world.bob)
    return found


def shown(answer: Any) -> list[str]:
    """The ids of the gates of a page's table, in their order."""
    rows = (e.attributes.get("id", "") for e in Page(answer).all("tr"))
    return [row.removeprefix("gate-") for row in rows if row.startswith("gate-")]


def ids(*gates: Gate) -> list[str]:
    return [str(gate.id) for gate in gates]


def tabs(answer: Any) -> list[str]:
    """The words of the views, the current one with a star, and their counts."""
    words = tuple(view.word for view in VIEWS.values())
    mark = {"page": "*"}
    return [
        " ".join(link.text.split()) + mark.get(link.attributes.get("aria-current", ""), "")
        for link in Page(answer).all("a")
        if link.text.strip().startswith(words)
    ]


def set_gates(world: World, setting: str, *gates: Gate) -> None:
    """Changes what no process may change, as time or chance would have."""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            f"UPDATE approvals_gate SET {setting} WHERE id = ANY(%s)",  # type: ignore[arg-type]
            [[gate.id for gate in gates]],
        )


def test_mine_holds_what_i_may_decide_and_is_where_a_reviewer_begins(
    world: World, bob: Visitor, gates: dict[str, Gate]
) -> None:
    answer = bob.get("/inbox/")

    assert shown(answer) == ids(gates["asked"])
    assert Page(answer).texts("caption") == ["For you to decide"]
    assert shown(bob.get("/inbox/", view="mine")) == shown(answer)
    assert "1 waiting for you" in Page(answer).text


def test_waiting_on_others_says_why_each_is_not_mine(bob: Visitor, gates: dict[str, Gate]) -> None:
    answer = bob.get("/inbox/", view="waiting")

    assert set(shown(answer)) == set(ids(*(g for name, g in gates.items() if name != "asked")))
    rows = {e.attributes["id"]: e.text for e in Page(answer).all("tr") if "id" in e.attributes}
    said = {
        "voted": "1 of 2 · you approved",
        "elsewhere": "0 of 1 · asks treasury",
        "own": "0 of 1 · your own",
        "forked": "0 of 1 · from your run",
    }
    for name, words in said.items():
        assert words in " ".join(rows[f"gate-{gates[name].id}"].split())


def test_each_view_is_a_link_with_its_count(bob: Visitor, gates: dict[str, Gate]) -> None:
    assert tabs(bob.get("/inbox/")) == [
        "Mine 1*",
        "Waiting on others 4",
        "Expiring 5",
        "Decided by me",
        "Closed",
    ]


def test_who_does_not_decide_begins_with_all_open_requests(
    dave: Visitor, gates: dict[str, Gate]
) -> None:
    answer = dave.get("/inbox/", view="mine")

    assert set(shown(answer)) == set(ids(*gates.values()))
    assert tabs(answer) == ["All open 5*", "Expiring 5", "Closed"]
    assert "your roles do not decide" in Page(answer).text


@pytest.mark.parametrize("name", ["alice", "bob", "carol", "dave", "mallory"])
def test_the_lists_ask_the_very_people_whom_the_gates_let_decide(
    world: World, gates: dict[str, Gate], name: str
) -> None:
    set_gates(world, "expires_at = now() - interval '1 second'", gates["elsewhere"])
    person = getattr(world, name)

    listed = set(Gate.objects.filter(is_live() & is_asked(person)))

    assert listed == {gate for gate in Gate.objects.all() if not why_not(gate, person)}


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        *(("bob", {"before", "after"}), ("alice", set()), ("dave", set())),
        *(("erin", {"after"}), ("mallory", {"after"}), ("nobody", set())),
    ],
)
def test_the_lists_and_the_gates_agree_about_who_has_had_a_role(
    world: World, name: str, listed: set[str]
) -> None:
    """Erin is given it between two requests, and Mallory gets it back."""
    world.publish(rule({"role": "reviewer", "count": 1}))
    before = world.gates(world.park_at_gates(100))[0]
    people = {"nobody": make_person("nobody", tenant=world.tenant)}
    with as_role("placet_owner"):
        set_roles(world.erin, {"admin", "reviewer"})
        set_roles(world.mallory, set())
        set_roles(world.mallory, {"reviewer"})
    gates = {"before": before, "after": world.gates(world.park_at_gates(200))[0]}
    person = people.get(name) or getattr(world, name)

    asked = Gate.objects.filter(is_live() & is_asked(person))

    assert set(asked) == {gates[one] for one in listed}
    assert set(asked) == {gate for gate in gates.values() if not why_not(gate, person)}
    others = set(Gate.objects.filter(is_live() & ~is_asked(person)))
    assert others == set(gates.values()) - set(asked)


def test_a_row_names_whom_it_asks_only_to_who_is_not_asked(world: World, bob: Visitor) -> None:
    world.publish(rule({"role": "reviewer", "count": 1}))
    by_role = world.gates(world.park_at_gates(100))[0]
    world.join("treasury", world.mallory)
    world.publish(rule({"group": "treasury", "count": 1}))
    by_group = world.gates(world.park_at_gates(200))[0]

    answer = bob.get("/inbox/", view="expiring")

    rows = {e.attributes["id"]: e.text for e in Page(answer).all("tr") if "id" in e.attributes}
    assert "asks" not in rows[f"gate-{by_role.id}"]
    assert "asks treasury" in rows[f"gate-{by_group.id}"]


def test_who_is_no_longer_active_is_asked_nothing(world: World, gates: dict[str, Gate]) -> None:
    world.bob.is_active = False
    with as_role("placet_owner"):
        world.bob.save(update_fields=["is_active"])

    assert not Gate.objects.filter(is_asked(world.bob)).exists()


def test_requests_of_another_tenant_are_in_no_view(world: World, gates: dict[str, Gate]) -> None:
    olivia = visit_as(make_person("olivia", "reviewer", tenant="elsewhere"))

    for view in ("mine", "waiting", "expiring", "decided", "closed", "all"):
        assert shown(olivia.get("/inbox/", view=view)) == []


def test_decided_by_me_says_my_verdict_and_what_became_of_it_newest_first(
    world: World, bob: Visitor
) -> None:
    first, second, third = world.gates(world.park_at_gates(100, 200, 300))
    world.decide(second, world.bob, "deny", "Not ours.")
    world.decide(first, world.bob)
    world.decide(third, world.carol)
    world.settle()

    answer = bob.get("/inbox/", view="decided")

    assert shown(answer) == ids(first, second)
    rows = Page(answer).texts("tr")
    assert "Approved Paid" in rows[1]
    assert "Denied Denied" in rows[2]


def test_what_i_decided_and_is_still_open_says_how_far_it_is(
    bob: Visitor, gates: dict[str, Gate]
) -> None:
    text = Page(bob.get("/inbox/", view="decided")).text

    assert "Approved Open 1 of 2" in text


def test_expiring_holds_what_ends_within_a_day_the_first_end_first(
    world: World, bob: Visitor
) -> None:
    late, soon, sooner, over = world.gates(world.park_at_gates(100, 200, 300, 400))
    set_gates(world, "expires_at = now() + interval '25 hours'", late)
    set_gates(world, "expires_at = now() + interval '23 hours'", soon)
    set_gates(world, "expires_at = now() + interval '1 hour'", sooner)
    set_gates(world, "expires_at = now() - interval '1 second'", over)

    answer = bob.get("/inbox/", view="expiring")

    assert shown(answer) == ids(sooner, soon)
    assert shown(bob.get("/inbox/")) == ids(sooner, soon, late)
    ends = [e for e in Page(answer).all("time") if e.attributes["data-time"] == "left"]
    assert len(ends) == 2
    assert all(e.attributes["title"].endswith("UTC") for e in ends)


def test_closed_holds_what_came_to_an_end_newest_first(
    world: World, dave: Visitor, gates: dict[str, Gate]
) -> None:
    world.decide(gates["asked"], world.carol)
    world.settle()
    world.decide(gates["own"], world.carol, "deny")
    world.settle()

    answer = dave.get("/inbox/", view="closed")

    assert shown(answer) == ids(gates["own"], gates["asked"])
    assert "Paid" in Page(answer).text and "Denied" in Page(answer).text


@pytest.mark.parametrize(
    ("view", "title", "next_view"),
    [
        ("mine", "Nothing waits for you", "Waiting on others"),
        ("waiting", "Nothing waits on others", "For you to decide"),
        ("expiring", "Nothing expires within 24 hours", "For you to decide"),
        ("decided", "You have not decided anything yet", "For you to decide"),
        ("closed", "No request has been closed yet", "For you to decide"),
    ],
)
def test_an_empty_view_says_what_it_means_and_where_to_go(
    bob: Visitor, view: str, title: str, next_view: str
) -> None:
    page = Page(bob.get("/inbox/", view=view))

    assert title in page.texts("h3")
    assert next_view in page.texts("a")


def test_who_does_not_decide_is_led_from_no_open_requests_to_the_closed_ones(
    dave: Visitor,
) -> None:
    page = Page(dave.get("/inbox/"))

    assert page.texts("h3") == ["No open requests"]
    assert [a.attributes["href"] for a in page.all("a") if "Closed requests" in a.text] == [
        "?view=closed"
    ]


def test_requests_are_sorted_by_expiry_or_by_amount(world: World, bob: Visitor) -> None:
    small, large, middle = world.gates(world.park_at_gates(100, 300, 200))
    set_gates(world, "expires_at = now() + interval '9 minutes'", middle)
    set_gates(world, "expires_at = now() + interval '10 minutes'", small)

    assert shown(bob.get("/inbox/")) == ids(middle, small, large)
    assert shown(bob.get("/inbox/", sort="nonsense")) == ids(middle, small, large)
    by_amount = bob.get("/inbox/", sort="amount")
    assert shown(by_amount) == ids(large, middle, small)
    assert "currencies are not converted" in Page(by_amount).text


def test_a_filter_by_tool_is_there_where_there_is_more_than_one(
    world: World, bob: Visitor, gate: Gate
) -> None:
    assert "Any tool" not in Page(bob.get("/inbox/")).text
    world.policy(name="Charges", tool="charge")

    page = Page(bob.get("/inbox/"))

    assert page.texts("option")[:3] == ["Any tool", "charge", "pay"]
    assert shown(bob.get("/inbox/", tool="pay")) == ids(gate)
    assert shown(bob.get("/inbox/", tool="charge")) == []


def test_the_search_keeps_the_view_and_counts_what_it_finds_in_the_others(
    bob: Visitor, gates: dict[str, Gate]
) -> None:
    answer = bob.get("/inbox/", view="waiting", sort="amount", q="alice")

    assert set(shown(answer)) == set(ids(gates["voted"], gates["elsewhere"], gates["forked"]))
    page = Page(answer)
    assert page.field("view").attributes["value"] == "waiting"
    assert page.field("q").attributes["value"] == "alice"
    assert tabs(answer)[:2] == ["Mine 1", "Waiting on others 3*"]
    addresses = [a.attributes["href"] for a in page.all("a")]
    assert "?view=mine&sort=amount&q=alice" in addresses
    assert "?view=waiting&sort=amount" in addresses


def test_the_search_finds_by_payee_and_says_when_nothing_matches(bob: Visitor, gate: Gate) -> None:
    assert shown(bob.get("/inbox/", q="NWBK6016")) == ids(gate)
    missing = Page(bob.get("/inbox/", q="nobody\0"))
    assert "No request matches" in missing.text
    assert "Clear the search" in missing.texts("a")
    assert bob.get("/inbox/", view="decided", q="nobody").status_code == 200


def follow(visitor: Visitor, path: str) -> list[list[str]]:
    """The rows of a list, page by page, by its own links."""
    found = []
    while path:
        answer = visitor.get(path)
        found.append(shown(answer))
        onward = [a for a in Page(answer).all("a") if a.attributes.get("rel") == "next"]
        path = onward[0].attributes["href"] if onward else ""
    return found


@pytest.fixture
def many(world: World, gate: Gate) -> Gate:
    """An open gate and two pages more of its like, each with a step of its own."""
    for _ in range(2 * DEFAULT_PAGE_SIZE // 10):
        world.start("paying", amounts=list(range(1, 11)))
    world.settle()
    return gate


@pytest.mark.parametrize("sort", ["expiry", "amount"])
def test_every_request_is_on_one_page_and_the_pager_keeps_view_and_order(
    world: World, bob: Visitor, many: Gate, sort: str
) -> None:
    everyone = set(map(str, Gate.objects.values_list("id", flat=True)))

    pages = follow(bob, f"/inbox/?view=mine&sort={sort}&q=pay")

    assert [len(page) for page in pages] == [DEFAULT_PAGE_SIZE, DEFAULT_PAGE_SIZE, 1]
    assert set().union(*pages) == everyone
    first = Page(bob.get("/inbox/", view="mine", sort=sort, q="pay"))
    (onward,) = (a for a in first.all("a") if a.attributes.get("rel") == "next")
    second = bob.get(onward.attributes["href"])
    assert Page(second).field("view").attributes["value"] == "mine"
    (back,) = (a for a in Page(second).all("a") if "Back to the first page" in a.text)
    assert back.attributes["href"] == f"/inbox/?view=mine&sort={sort}&q=pay"


def test_exactly_one_page_has_no_pager(world: World, bob: Visitor) -> None:
    for _ in range(DEFAULT_PAGE_SIZE // 10):
        world.start("paying", amounts=list(range(1, 11)))
    world.settle()

    answer = bob.get("/inbox/")

    assert len(shown(answer)) == DEFAULT_PAGE_SIZE
    assert "Next page" not in Page(answer).text
    assert "Back to the first page" not in Page(answer).text


def test_what_is_closed_meanwhile_stays_on_the_page_where_it_stood(
    world: World, bob: Visitor, many: Gate
) -> None:
    before = follow(bob, "/inbox/")
    closed = Gate.objects.get(pk=before[1][3])
    world.decide(closed, world.carol)
    world.settle()

    after = follow(bob, "/inbox/")

    # The rows behind it move up by one; it stands where it stood, grey.
    assert str(closed.id) not in after[0]
    assert str(closed.id) in after[1]
    assert sum(map(len, after)) == sum(map(len, before))


def test_a_later_page_whose_requests_are_all_closed_leads_back(
    world: World, bob: Visitor, many: Gate
) -> None:
    (onward,) = (a for a in Page(bob.get("/inbox/")).all("a") if a.attributes.get("rel") == "next")
    left = Gate.objects.all()
    set_gates(world, "status = 'withdrawn', closed_at = now() - interval '1 hour'", *left)

    page = Page(bob.get(onward.attributes["href"]))

    assert "Nothing is left on this page" in page.text
    assert "Show the first page" in page.texts("a")


@pytest.mark.parametrize("cursor", ["x", "YW1vdW50X21pbm9yfDF8MQ", "ZXhwaXJlc19hdHx4fHg"])
def test_a_cursor_that_no_list_gave_leads_to_the_first_page(
    bob: Visitor, gate: Gate, cursor: str
) -> None:
    assert bob.get("/inbox/", cursor=cursor).headers["Location"] == "/inbox/"
    assert bob.get("/inbox/", sort="amount", cursor=cursor).status_code == 302


def test_what_others_decided_greys_out_in_its_place(world: World, bob: Visitor, gate: Gate) -> None:
    world.decide(gate, world.carol)
    world.settle()

    html = bob.get("/inbox/", part=True).content.decode()

    assert f'id="gate-{gate.id}" class="is-closed"' in html
    assert "<html" not in html
    set_gates(world, "closed_at = closed_at - interval '2 minutes'", gate)
    assert shown(bob.get("/inbox/")) == []


def test_counts_end_somewhere(
    world: World, bob: Visitor, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.park_at_gates(1, 2, 3)
    monkeypatch.setattr(requests, "COUNTED", 3)

    answer = bob.get("/inbox/")

    assert tabs(answer)[0] == "Mine 3+*"
    assert "3+ waiting for you" in Page(answer).text
    assert "See all 3+" not in Page(bob.get("/")).text
    assert "3+ requests wait for you." in Page(bob.get("/")).text


@pytest.mark.parametrize("view", ["mine", "waiting", "expiring", "decided", "closed"])
def test_no_view_reads_more_than_a_page_of_rows(world: World, bob: Visitor, view: str) -> None:
    with CaptureQueriesContext(connection) as captured:
        bob.get("/inbox/", view=view)

    of_gates = [q["sql"] for q in captured if 'FROM "approvals_gate"' in q["sql"]]
    assert of_gates
    assert [sql for sql in of_gates if "LIMIT" not in sql] == []


def test_nothing_in_the_inbox_decides(bob: Visitor, gate: Gate) -> None:
    page = Page(bob.get("/inbox/"))

    main = [e for e in page.all("form") if "accounts" not in e.attributes.get("action", "")]
    assert "post" not in [e.attributes.get("method") for e in main if "role" in e.attributes]
    assert {e.attributes["action"] for e in main if "action" in e.attributes} <= {
        "/theme/",
        "/batches/",
    }
    assert bob.post("/batches/", gate=str(gate.id), verdict="approve").status_code == 200
    assert not Decision.objects.exists() and not Batch.objects.exists()
    assert "No key decides anything." in page.text
