"""Faults between hosts while clients exchange tokens, and what must hold afterwards.

First, databases that lost their latest commits, with and without the check that detects it: without it, the checker must
find tokens that were used twice. Then faults during which no confirmed commit may be lost.
"""

import argparse
import collections
import json
import pathlib
import random
import shutil
import sys
import threading
import time

import cluster
import history
import network
import postgres

CLIENTS = 6
# How many of its latest tokens a client presents again.
RECENT = 30
UNKNOWN_KEY_SECONDS = 1
# What a client waits after an answer that says nothing.
PAUSE_SECONDS = 0.05
# How often tokens of a subject are presented before it is blocked, and again after that.
ATTEMPTS = 5
LOST_TOKENS = 8
SETTLE_SECONDS_MAX = 60


START = time.monotonic()


def say(text):
    print(f"hosts: {time.monotonic() - START:5.1f} s: {text}", flush=True)


class Load:
    """Clients that exchange new tokens, and old ones again, at random brokers."""

    def __init__(self, site):
        self.site, self.exchanges, self.ended = site, [], threading.Event()
        self.lock, self.faults = threading.Lock(), []
        self.threads = [threading.Thread(target=self.guard, args=(self.client, number)) for number in range(CLIENTS)]
        self.threads += [threading.Thread(target=self.guard, args=(it,)) for it in (self.send_unknown_keys, self.block)]
        self.blocks = {}

    def guard(self, work, *arguments):
        try:
            work(*arguments)
        except Exception as error:  # Reported by the main thread.
            self.faults.append(repr(error))
            self.ended.set()

    def client(self, number):
        choose = random.Random(number)
        tokens = collections.deque(maxlen=RECENT)
        while not self.ended.is_set():
            if not tokens or choose.random() < 0.4:
                tokens.append((f"{number}-{len(self.exchanges)}-{choose.random()}", self.site.mint()))
            name, token = choose.choice(tokens)
            exchange = choose.choice(self.site.brokers).exchange(name, token)
            with self.lock:
                self.exchanges.append(exchange)
            if exchange.answer == history.UNKNOWN:
                self.ended.wait(PAUSE_SECONDS)

    def send_unknown_keys(self):
        """Makes brokers compete for the lease to fetch keys."""
        choose = random.Random("unknown keys")
        while not self.ended.wait(UNKNOWN_KEY_SECONDS):
            answer = choose.choice(self.site.brokers).exchange("unknown key", cluster.with_unknown_key(self.site.mint()))
            assert answer.answer in (history.REFUSED, history.UNKNOWN), answer

    def block(self):
        """Blocks one subject after the other, whose tokens are presented before and after that."""
        choose = random.Random("blocks")
        while not self.ended.is_set():
            subject = f"blocked {len(self.blocks)}"
            hosts = [broker.host for broker in self.site.brokers]
            for number in range(2 * ATTEMPTS):
                if number == ATTEMPTS:
                    while not cluster.block(choose.choice(hosts), self.site.mint(repository_id=cluster.ADMINISTRATOR), subject):
                        if self.ended.wait(PAUSE_SECONDS):
                            return
                    self.blocks[subject] = time.monotonic()
                exchange = cluster.exchange(choose.choice(hosts), f"{subject}/{number}", self.site.mint(sub=subject))
                with self.lock:
                    self.exchanges.append(exchange)
                if self.ended.wait(PAUSE_SECONDS):
                    return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def answers(self):
        return collections.Counter(it.answer for it in self.exchanges)


class Nemesis:
    """The faults. Each one ends before the next one begins, so that every one of them meets a working system."""

    def __init__(self, site, seed):
        self.site, self.choose = site, random.Random(seed)

    def broker(self):
        return self.choose.choice(self.site.brokers)

    def cut_broker(self):
        host = self.broker().host
        host.cut()
        time.sleep(2)
        host.heal()

    def lose_packets_to_primary(self):
        host, primary = self.broker().host, self.site.primary.host
        host.send_nothing_to(primary)
        time.sleep(2)
        host.send_again_to(primary)

    def lose_packets_from_primary(self):
        host, primary = self.broker().host, self.site.primary.host
        primary.send_nothing_to(host)
        time.sleep(2)
        primary.send_again_to(host)

    def cut_standby(self):
        """No commit is confirmed meanwhile."""
        self.site.standby.host.cut()
        time.sleep(2)
        self.site.standby.host.heal()

    def crash_primary(self):
        self.site.primary.restart()

    def starve_pool(self):
        """Every statement that uses a token waits, until no connection is left."""
        self.site.primary.sql("BEGIN; LOCK TABLE consumed IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(2.5); COMMIT")

    def kill_broker(self):
        broker = self.broker()
        broker.kill()
        broker.start()

    def skew_clock(self):
        """Less than what tokens of an issuer with another clock are allowed."""
        broker = self.broker()
        broker.skew_seconds = self.choose.choice([-20, 20])
        broker.stop()
        broker.start()

    def raise_generation(self):
        """One broker after the other, as in an update. Those with the old generation release nothing more."""
        for broker in self.site.brokers:
            broker.generation += 1
            broker.stop()
            broker.start()

    def fail_over(self):
        self.site.fail_over()

    FAULTS = (
        *(cut_broker, lose_packets_to_primary, lose_packets_from_primary, cut_standby, crash_primary, starve_pool),
        *(kill_broker, skew_clock, raise_generation),
    )


def settle(site, load):
    """Waits until each broker gives an answer that is not `unknown`."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    for broker in site.brokers:
        while broker.exchange("settle", site.mint()).answer == history.UNKNOWN:
            assert time.monotonic() < deadline and not load.faults, f"{broker.host.name} does not recover: {load.faults}"
            time.sleep(0.2)


def keep(exchanges, folder):
    """Keeps the history and the logs, for whoever looks for the cause of a violation."""
    kept = pathlib.Path("/var/tmp") / f"vouchsafe-history-{int(time.time())}"
    kept.mkdir()
    (kept / "history.jsonl").write_text("".join(json.dumps(vars(it)) + "\n" for it in exchanges))
    for log in folder.glob("*.log"):
        shutil.copy(log, kept)
    say(f"the history and the logs are in {kept}")


def with_faults(folder, seconds, seed):
    """Nothing that was confirmed is lost: commits wait for the standby, and the old primary ends before a failover."""
    site = cluster.Cluster(folder)
    nemesis = Nemesis(site, seed)
    try:
        with Load(site) as load:
            start = time.monotonic()
            faults = list(Nemesis.FAULTS)
            nemesis.choose.shuffle(faults)
            # At least one of each.
            while faults or time.monotonic() < start + seconds:
                fault = faults.pop() if faults else nemesis.choose.choice(Nemesis.FAULTS)
                say(fault.__name__)
                fault(nemesis)
                settle(site, load)
            # Last, because single-use tokens are refused for a minute after it.
            say("fail_over")
            nemesis.fail_over()
            settle(site, load)
            say("settled")
        assert not load.faults, load.faults
        records, grants, fetches = site.records(), site.grants(), site.fetches()
    finally:
        site.close()
    found = list(history.violations(load.exchanges, records, grants, fetches, load.blocks))
    answers = load.answers()
    say(f"{dict(answers)}, {len(records)} records, {len(grants)} leases, {len(load.blocks)} blocks, seed {seed}: {len(found)} violations")
    if found:
        keep(load.exchanges, folder)
    # A run in which nothing happened shows nothing.
    for answer in (history.ISSUED, history.SPENT, history.UNKNOWN):
        assert answers[answer] > 0, f"no exchange was answered `{answer}`"
    assert len({record.generation for record in records}) > 1, "the generation was never raised"
    assert sum(fetches.values()) > 1, "no keys were fetched"
    assert load.blocks, "no subject was blocked"
    return found


def promote_without_latest(site, use):
    """A failover to a standby that was cut off."""
    site.standby.host.cut()
    use()
    site.primary.kill()
    site.standby.host.heal()
    site.standby.promote()
    site.primary, site.standby = site.standby, site.primary


def restore_older_dump(site, use):
    """Another server gets the place of the primary, with what was dumped before."""
    dump = site.primary.dump()
    use()
    site.primary.load(dump)


def with_lost_commits(folder, lose, incarnation):
    """The database loses the uses of tokens, which clients then repeat. Returns the violations."""
    site = cluster.Cluster(folder, brokers=("one",), synchronous=False, incarnation=incarnation)
    try:
        (broker,) = site.brokers
        tokens = {f"lost-{number}": site.mint() for number in range(LOST_TOKENS)}
        exchanges = []
        lose(site, lambda: exchanges.extend(broker.exchange(name, token) for name, token in tokens.items()))
        assert all(it.answer == history.ISSUED for it in exchanges), exchanges
        if not incarnation:
            # However slow this machine is, the store does not count as out of use.
            site.primary.sql("UPDATE mark SET alive_at = clock_ms() / 1000")
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        for name, token in tokens.items():
            exchanges.append(broker.exchange(name, token))
            while exchanges[-1].answer == history.UNKNOWN:
                assert time.monotonic() < deadline, "the broker does not recover"
                time.sleep(PAUSE_SECONDS)
                exchanges.append(broker.exchange(name, token))
    finally:
        site.close()
    return list(history.used_too_often(exchanges))


def new(folder, name):
    made = folder / name
    made.mkdir()
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0, help="at least one of each fault happens")
    parser.add_argument("--rounds", type=int, default=1, help="how often, each with new servers")
    parser.add_argument("--seed", type=int, default=None, help="the order of the faults, for one round")
    arguments = parser.parse_args()
    reason = network.unavailable()
    reason = reason or (None if postgres.programs() else "PostgreSQL is not installed")
    if reason:
        say(f"skipped several hosts: {reason}")
        return 0
    network.isolate()
    folder = network.scratch()
    found = []
    for lose in (promote_without_latest, restore_older_dump):
        lost = with_lost_commits(new(folder, lose.__name__), lose, incarnation=True)
        say(f"{lose.__name__}: {len(lost)} of {LOST_TOKENS} tokens were used twice")
        unchecked = with_lost_commits(new(folder, f"{lose.__name__}-unchecked"), lose, incarnation=False)
        say(f"{lose.__name__}, without the check of the incarnation: {len(unchecked)} of {LOST_TOKENS} were used twice")
        assert unchecked, "the checker finds nothing where there is something to find"
        found += lost
    for number in range(arguments.rounds):
        seed = random.randrange(2**32) if arguments.seed is None else arguments.seed
        run = new(folder, f"faults-{number}")
        found += with_faults(run, arguments.seconds, seed)
        shutil.rmtree(run)
    for violation in found:
        print(f"error: {violation}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
