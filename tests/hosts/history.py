"""What clients saw, and what must hold for it.

A history is a list of exchanges, each with the times at which it was sent and answered, and what the database has at its
end. The checks need time linear in the length of the history.
"""

import collections
import dataclasses

# What an exchange tells about the use of its token.
ISSUED = "issued"  # used, and a token was released
SPENT = "spent"  # refused, because the token was used before
REFUSED = "refused"  # refused for another reason, without use
UNKNOWN = "unknown"  # 503, or no answer: perhaps used


@dataclasses.dataclass(frozen=True)
class Exchange:
    """One request. Times are seconds of one clock."""

    token: str
    broker: str
    sent: float
    answered: float
    answer: str
    decision: str = ""
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Record:
    """A record of an issued token at the surviving primary."""

    decision: str
    generation: int


@dataclasses.dataclass(frozen=True)
class Grant:
    """A lease that a broker got at `at`, until `until`, by the database's clock in milliseconds."""

    name: str
    broker: str
    at: int
    until: int


def by_token(exchanges):
    found = collections.defaultdict(list)
    for exchange in exchanges:
        found[exchange.token].append(exchange)
    return found


def used_too_often(exchanges, uses_max=1):
    """No token is used more often than allowed."""
    for token, all_of_it in by_token(exchanges).items():
        issued = [it for it in all_of_it if it.answer == ISSUED]
        if len(issued) > uses_max:
            yield f"token {token} was used {len(issued)} times: {issued}"


def spent_without_use(exchanges):
    """No unused token is reported spent: some exchange that was sent before the report's answer used it, or may have."""
    for token, all_of_it in by_token(exchanges).items():
        uses = [it.sent for it in all_of_it if it.answer in (ISSUED, UNKNOWN)]
        first = min(uses, default=float("inf"))
        for it in all_of_it:
            if it.answer == SPENT and it.answered < first:
                yield f"token {token} was reported spent before any use: {it}"


def used_after_spent(exchanges):
    """No token is used in an exchange that was sent after another one reported it spent."""
    for token, all_of_it in by_token(exchanges).items():
        spent = min((it.answered for it in all_of_it if it.answer == SPENT), default=float("inf"))
        for it in all_of_it:
            if it.answer == ISSUED and it.sent > spent:
                yield f"token {token} was used after it was reported spent: {it}"


def without_record(exchanges, records):
    """Every issued token is on record."""
    recorded = {record.decision for record in records}
    for it in exchanges:
        if it.answer == ISSUED and it.decision not in recorded:
            yield f"decision {it.decision} is not on record: {it}"


def generation_fell(exchanges, records):
    """No record has a generation below one that was acknowledged before the exchange was sent."""
    generations = {record.decision: record.generation for record in records}
    issued = [it for it in exchanges if it.answer == ISSUED and it.decision in generations]
    # In the order of time: what was acknowledged before each exchange was sent.
    answers = sorted(issued, key=lambda it: it.answered)
    highest, position = 0, 0
    for it in sorted(issued, key=lambda it: it.sent):
        while position < len(answers) and answers[position].answered < it.sent:
            highest = max(highest, generations[answers[position].decision])
            position += 1
        if generations[it.decision] < highest:
            yield f"decision {it.decision} has generation {generations[it.decision]}, after {highest}: {it}"


def leases_overlap(grants):
    """Leases are exclusive."""
    last = {}
    for grant in sorted(grants, key=lambda it: (it.at, it.until)):
        before = last.get(grant.name)
        if before and grant.at < before.until:
            yield f"lease {grant.name} was granted twice: {before} and {grant}"
        last[grant.name] = grant


def fetched_without_lease(fetches, grants):
    """No broker fetched keys more often than it had a lease to. `fetches`: their number by broker."""
    granted = collections.Counter(grant.broker for grant in grants)
    for broker, count in fetches.items():
        if count > granted[broker]:
            yield f"{broker} fetched keys {count} times with {granted[broker]} leases"


def issued_while_blocked(exchanges, blocks):
    """No token is released for a subject after its block was confirmed. Tokens are named `subject/number`."""
    for it in exchanges:
        blocked = blocks.get(it.token.partition("/")[0], float("inf"))
        if it.answer == ISSUED and it.sent > blocked:
            yield f"{it.token} was exchanged after the block: {it}"


def violations(exchanges, records, grants, fetches, blocks):
    """Everything that must not be, after a history in which no confirmed commit was lost."""
    yield from used_too_often(exchanges)
    yield from used_after_spent(exchanges)
    yield from spent_without_use(exchanges)
    yield from without_record(exchanges, records)
    yield from generation_fell(exchanges, records)
    yield from leases_overlap(grants)
    yield from fetched_without_lease(fetches, grants)
    yield from issued_while_blocked(exchanges, blocks)
