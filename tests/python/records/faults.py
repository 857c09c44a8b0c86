"""Hurts the region of `world.py` while it works, round after round, and compares at the end.

A seed chooses faults and work; where in the work each strikes, and so what can be hurt next, is up to
the machine. `scripts/faults` runs it; test_faults.py is a short run."""

import argparse
import contextlib
import json
import os
import random
import sys
import threading
import time

from checker import Check, drained, stopped, unnoticed
from load import Load
from power import library
from world import CLINICS, HOSPITAL, HUBS, ROOT, World, alive, faketime

SITES = (HOSPITAL, *CLINICS)
# Megabytes of a disk that is filled: at first, and for each round.
DISK_MIB = (96, 1)
JUMPS = ("+3d", "-3d", "+400d", "-400d", "+2h", "-90s")


class Faults:
    """Each method is a round: it hurts something and mends it. Nodes are started again beside the
    rounds that follow, so two things or three may be away at the same time."""

    def __init__(self, world, seed):
        self.world, self.chance = world, random.Random(seed)
        self.busy, self.lock, self.repairs = set(), threading.Lock(), []
        self.told, self.failed = {}, []
        kinds = {self.kill_hospital: 2, self.kill_clinic: 3, self.kill_hub: 3,
                 self.kill_both_hubs: 1, self.kill_while_it_starts: 2,
                 self.kill_postgres: 2, self.crash_postgres: 1, self.cut: 3, self.break_off: 3,
                 self.stall: 3, self.slow: 3, self.line_down: 2, self.switch: 3,
                 self.say_twice: 3, self.disorder: 3}
        if world.mounts:
            kinds[self.full_disk] = 2
        if world.database.disk:
            kinds |= {self.lose_power: 4, self.lose_power_of_postgres: 2}
        if faketime():
            kinds[self.clock] = 3
        self.kinds = kinds
        # Every kind comes before one comes often.
        self.first = sorted(kinds, key=lambda kind: kind.__name__)
        self.chance.shuffle(self.first)

    def left_out(self):
        """Kinds of faults that this machine does not allow."""
        return [name for name in ("full_disk", "clock", "lose_power")
                if name not in {kind.__name__ for kind in self.kinds}]

    def round(self):
        """One round; its name. What is still away is not hurt again."""
        while True:
            kind = self.first[-1] if self.first else self.chance.choices(
                list(self.kinds), list(self.kinds.values()))[0]
            done = kind()
            if self.first and (done or self.chance.random() < 0.5):
                self.first.insert(0, self.first.pop())
                self.first = self.first[done:]
            if done:
                name = kind.__name__
                self.told[name] = self.told.get(name, 0) + 1
                return name
            if not self.free(SITES + HUBS) or len(self.busy) > 2:
                time.sleep(0.2)

    def finish(self):
        for repair in self.repairs:
            repair.join()
        for line in self.world.lines.values():
            line.heal()
        assert not self.failed, self.failed

    # ---- who is hurt -------------------------------------------------------------------------

    def free(self, names):
        with self.lock:
            return [name for name in names if name not in self.busy]

    def pick(self, names):
        # Not more than two at a time are away, so that work goes on.
        with self.lock:
            left = [name for name in names if name not in self.busy]
            if not left or len(self.busy) > 2:
                return None
            name = self.chance.choice(left)
            self.busy.add(name)
            return name

    def mend(self, names, job):
        """Does it beside the next rounds; then `names` may be hurt again."""
        def run():
            try:
                job()
            except Exception as error:  # noqa: BLE001 - told at the end
                self.failed.append(f"{names}: {error!r}")
            with self.lock:
                self.busy.difference_update(names)
        self.repairs = [r for r in self.repairs if r.is_alive()]
        self.repairs.append(threading.Thread(target=run))
        self.repairs[-1].start()
        return True

    def killed(self, names, environment=()):
        name = self.pick(names)
        if name is None:
            return False
        node, pause = self.world.nodes[name], self.chance.choice([0, 0, 0.5, 3])
        node.kill()
        node.environment = dict(environment)
        return self.mend([name], lambda: (time.sleep(pause), node.start()))

    # ---- processes ---------------------------------------------------------------------------

    def kill_hospital(self):
        return self.killed([HOSPITAL])

    def kill_clinic(self):
        return self.killed(CLINICS)

    def kill_hub(self):
        return self.killed(HUBS)

    def kill_both_hubs(self):
        if len(self.free(HUBS)) < 2:
            return False
        return self.killed(HUBS) and self.killed(HUBS)

    def kill_while_it_starts(self):
        name = self.pick(SITES + HUBS)
        if name is None:
            return False
        node, after = self.world.nodes[name], self.chance.uniform(0.05, 6)
        node.kill()

        def again():
            node.launch()
            time.sleep(after)
            node.kill()
            node.start()
        return self.mend([name], again)

    def kill_postgres(self):
        return self._postgres(self.world.database.kill)

    def crash_postgres(self):
        return self._postgres(self.world.database.crash)

    def lose_power(self):
        """Of a hospital or clinic: what it has not synced is gone."""
        name = self.pick(SITES)
        if name is None:
            return False
        node, pause = self.world.nodes[name], self.chance.choice([0, 0.5])
        chance = random.Random(self.chance.random())
        node.kill()
        node.environment = {}
        return self.mend([name], lambda: (node.disk.cut(chance), time.sleep(pause), node.start()))

    def lose_power_of_postgres(self):
        database, chance = self.world.database, random.Random(self.chance.random())
        return self._postgres(lambda: (database.kill(), database.disk.cut(chance)))

    def _postgres(self, hurt):
        if self.pick(["postgres"]) is None:
            return False
        pause = self.chance.choice([0, 0, 1, 4])

        def job():
            hurt()
            time.sleep(pause)
            self.world.database.start()
        return self.mend(["postgres"], job)

    def clock(self):
        """Killed, and started under another date."""
        jump = self.chance.choice(JUMPS)
        return self.killed(SITES + HUBS, {"LD_PRELOAD": faketime(), "FAKETIME": jump,
                                          "FAKETIME_DONT_FAKE_MONOTONIC": "1"})

    def full_disk(self):
        """Somebody fills the disk; the node is killed meanwhile every other time."""
        name = self.pick([node.name for node in self.world.mounts])
        if name is None:
            return False
        node, kill = self.world.nodes[name], self.chance.random() < 0.5
        lasts, room = self.chance.uniform(0.5, 4), self.chance.choice([0, 0, 8192, 300_000])

        def job():
            ballast = node.data / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                free = os.statvfs(node.data)
                os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_bsize - room))
            time.sleep(lasts)
            if kill:
                node.kill()
                node.launch()
                time.sleep(lasts)
            ballast.unlink()
            if kill:
                node.kill()
                node.start()
        return self.mend([name], job)

    # ---- lines -------------------------------------------------------------------------------

    def line(self):
        return self.world.lines[self.chance.choice(SITES)]

    def cut(self):
        line = self.line()
        line.cut()
        time.sleep(self.chance.uniform(0, 0.5))
        return True

    def break_off(self):
        """In the middle of whatever is said, some times in a row."""
        line = self.line()
        for _ in range(self.chance.randint(1, 4)):
            line.left = self.chance.choice([1, 500, 5_000, 50_000, 300_000])
            time.sleep(self.chance.uniform(0.2, 0.8))
        line.left = None
        return True

    def stall(self):
        """Nothing gets through in one direction or both, and nobody is told."""
        line, ways = self.line(), self.chance.choice([["up"], ["down"], ["up", "down"]])
        for way in ways:
            line.stalled[way] = True
        time.sleep(self.chance.choice([0.5, 1, 2, 5]))
        if self.chance.random() < 0.5:
            line.cut()
        line.heal()
        return True

    def slow(self):
        line = self.line()
        line.rate = self.chance.choice([2_000, 10_000, 50_000])
        time.sleep(self.chance.uniform(0.5, 3))
        if self.chance.random() < 0.3:
            line.cut()
        line.heal()
        return True

    def line_down(self):
        line = self.line()
        line.down = True
        line.cut()
        time.sleep(self.chance.choice([0.5, 1, 3]))
        line.heal()
        return True

    def switch(self):
        self.line().switch()
        time.sleep(self.chance.uniform(0, 0.5))
        return True

    def say_twice(self):
        return self.meddle(0, self.chance.choice([0.1, 0.5, 1.0]))

    def disorder(self):
        return self.meddle(self.chance.choice([0.1, 0.5]), 0.1)

    def meddle(self, reordered, doubled):
        """On every line: most of what is said in a second is said by one of them."""
        for line in self.world.lines.values():
            line.reordered, line.doubled = reordered, doubled
        time.sleep(self.chance.uniform(0.5, 2))
        for line in self.world.lines.values():
            line.heal()
        return True


def run(rounds, seed, folder, seconds=None, rate=8.0, say=lambda text: None, keep=False,
        power=True):
    """Hurts, heals, waits, compares. What came out, and whether nothing was lost or doubled."""
    began = time.monotonic()
    world = World(folder, seed, DISK_MIB[0] + DISK_MIB[1] * rounds,
                  power and library() is not None)
    whole = False
    try:
        world.start()
        load, faults = Load(world, seed, rate), Faults(world, seed)
        load.start()
        done, hurting = 0, time.monotonic()
        try:
            while done < rounds and (seconds is None or time.monotonic() - hurting < seconds):
                name = faults.round()
                done += 1
                if done % 10 == 0 or done == rounds:
                    say(f"round {done} of {rounds}, {name}; {time.monotonic() - hurting:.0f} s; "
                        f"acknowledged {load.journal.counts()}")
        finally:
            faults.finish()
            # Some work after the last fault: everything works again.
            calm = load.journal.counts()["records"]
            time.sleep(3)
            load.finish()
        journal = load.journal
        if journal.counts()["records"] <= calm:
            journal.problem("no record was acknowledged after the last fault")
        say("the faults are over; everything goes to its place")
        for name, node in world.nodes.items():
            if not alive(node.process.pid):
                journal.problem(f"{name} is not running")
        draining = time.monotonic()
        left = drained(world)
        draining = time.monotonic() - draining
        for problem in [*stopped(world), *([f"does not drain: {left}"] if left else [])]:
            journal.problem(problem)
        check = Check(world, journal)
        report = {"seed": seed, "rounds": done, "faults": dict(sorted(faults.told.items())),
                  "left_out": faults.left_out(),
                  "asked": journal.asked, "acknowledged": journal.counts(),
                  "refused_calls": dict(sorted(journal.refused.items())), **check.report(),
                  "power": {name: disk.told() for name, disk in world.disks().items()},
                  "lines": {name: line.told for name, line in world.lines.items()},
                  "drained_s": round(draining, 1), "took_s": round(time.monotonic() - began)}
        whole = not (check.lost or check.doubled or check.wrong)
        if whole:
            # That nothing was found means something only if something would have been.
            report["not_noticed"] = unnoticed(world, journal)
        return report, whole and not report["not_noticed"]
    finally:
        world.close(keep=keep and not whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--rate", type=float, default=8.0, help="calls a second of each caller, about")
    parser.add_argument("--seconds", type=float, default=None, help="no further round after so long")
    parser.add_argument("--folder", default=None)
    parser.add_argument("--no-power", action="store_true", help="no cuts of power")
    parser.add_argument("--keep", action="store_true", help="leave everything where it is not whole")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    folder = arguments.folder or ROOT / "target" / f"faults-{seed}"

    def say(text):
        print(text, file=sys.stderr, flush=True)
    say(f"seed {seed}")
    report, whole = run(arguments.rounds, seed, folder, arguments.seconds, arguments.rate, say,
                        arguments.keep, not arguments.no_power)
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        for key, value in report.items():
            if key != "first":
                print(f"{key}: {value}")
        for problem in report["first"]:
            print(f"  {problem}")
        print("nothing was lost, nothing came twice" if whole else "NOT WHOLE")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
