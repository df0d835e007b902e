"""Each check accepts a correct history and finds the fault in a wrong one."""

import unittest

import history
from history import ISSUED, REFUSED, SPENT, UNKNOWN, Exchange, Grant, Record


def exchanges(*rows):
    """Exchanges of one token from (sent, answered, answer)."""
    return [Exchange("t", "a", sent, answered, answer, f"d{number}") for number, (sent, answered, answer) in enumerate(rows)]


class Checks(unittest.TestCase):
    def check(self, found, expected):
        self.assertEqual(len(list(found)), expected)

    def test_counts_uses_of_each_token(self):
        once = exchanges((0, 1, ISSUED), (0, 1, SPENT), (2, 3, UNKNOWN), (4, 5, REFUSED))
        self.check(history.used_too_often(once), 0)
        self.check(history.used_too_often([*once, Exchange("other", "b", 0, 1, ISSUED)]), 0)
        self.check(history.used_too_often([*once, *exchanges((9, 10, ISSUED))]), 1)
        self.check(history.used_too_often(once + once, uses_max=2), 0)

    def test_spent_needs_earlier_use(self):
        for rows, expected in [
            ([(0, 1, ISSUED), (2, 3, SPENT)], 0),
            ([(0, 1, UNKNOWN), (2, 3, SPENT)], 0),
            ([(0, 5, SPENT), (4, 6, ISSUED)], 0),  # they overlap
            ([(0, 3, SPENT), (4, 6, ISSUED)], 1),
            ([(0, 1, REFUSED), (2, 3, SPENT)], 1),
            ([(2, 3, SPENT)], 1),
        ]:
            with self.subTest(rows=rows):
                self.check(history.spent_without_use(exchanges(*rows)), expected)

    def test_spent_token_stays_spent(self):
        for rows, expected in [
            ([(0, 1, UNKNOWN), (2, 3, SPENT), (4, 5, ISSUED)], 1),
            ([(0, 1, UNKNOWN), (2, 3, SPENT), (2, 5, ISSUED)], 0),
        ]:
            with self.subTest(rows=rows):
                self.check(history.used_after_spent(exchanges(*rows)), expected)

    def test_issued_tokens_are_on_record(self):
        issued = exchanges((0, 1, ISSUED), (2, 3, REFUSED))
        self.check(history.without_record(issued, [Record("d0", 1)]), 0)
        self.check(history.without_record(issued, [Record("d1", 1)]), 1)

    def test_generation_never_falls(self):
        records = [Record("d0", 2), Record("d1", 1)]
        for rows, expected in [
            ([(0, 1, ISSUED), (2, 3, ISSUED)], 1),
            ([(0, 3, ISSUED), (2, 4, ISSUED)], 0),  # they overlap
            ([(2, 3, ISSUED), (0, 1, ISSUED)], 0),
        ]:
            with self.subTest(rows=rows):
                self.check(history.generation_fell(exchanges(*rows), records), expected)

    def test_leases_are_exclusive(self):
        one = Grant("n", "a", 0, 10)
        for other, expected in [
            (Grant("n", "b", 10, 20), 0),
            (Grant("n", "b", 9, 19), 1),
            (Grant("m", "b", 9, 19), 0),
        ]:
            with self.subTest(other=other):
                self.check(history.leases_overlap([one, other]), expected)

    def test_fetches_need_a_lease_each(self):
        grants = [Grant("n", "a", 0, 10), Grant("m", "a", 0, 10)]
        for fetches, expected in [({"a": 2, "b": 0}, 0), ({"a": 3, "b": 0}, 1), ({"a": 1, "b": 1}, 1)]:
            with self.subTest(fetches=fetches):
                self.check(history.fetched_without_lease(fetches, grants), expected)

    def test_blocked_subjects_get_nothing(self):
        exchange = Exchange("blocked 1/3", "a", 5, 6, ISSUED)
        for blocks, expected in [({}, 0), ({"blocked 1": 5}, 0), ({"blocked 1": 4}, 1), ({"blocked 2": 4}, 0)]:
            with self.subTest(blocks=blocks):
                self.check(history.issued_while_blocked([exchange], blocks), expected)


if __name__ == "__main__":
    unittest.main()
