"""One escalation's path through its policy. Pure: plain data in, plain data out, no clock and no database.

A run is what an incident keeps from its first step on, as JSON: the rules as they were then, and where it stands.

No rule is out of reach: those before it end after a day at the latest, or at once if nobody is in them. What can be
wrong with a rule is that it reaches nobody, and its page says so. That LOW priority asks one level only is no such
fault: the same policy serves HIGH, and whoever escalates a LOW incident goes on to the next level.
"""

from dataclasses import dataclass
from typing import Any

REMIND_MINUTES = 30


@dataclass(frozen=True)
class Step:
    """What one due moment asks for.

    `skipped` are levels (1 is the first) that nobody is in; they cost no time. `level` with its `users` is asked now,
    0 if none is left or the policy waits before its first level. `minutes` is how long that takes, None when nothing
    follows. `finished`: nobody is left and nobody answered, so the admins are told, and told again after `minutes`.
    `again`: for which time an accepted incident asks since somebody has done anything; 0 while nobody has accepted.
    """

    skipped: tuple[int, ...]
    level: int
    round: int
    users: tuple[int, ...]
    minutes: int | None
    finished: bool
    run: dict[str, Any]
    again: int = 0


def begin(snapshot: dict[str, Any], number: int, single_level: bool) -> dict[str, Any]:
    """Return a new run over `snapshot` (see `oncall.services.snapshot`).

    `number` tells the runs of one incident apart. With `single_level` only the first level that somebody is in is
    asked, once: that is how LOW priority works.
    """
    return {**snapshot, "number": number, "single_level": single_level, "round": 1, "next": 0, "reminder": 0}


def at_once(run: dict[str, Any]) -> dict[str, Any]:
    """Return the run without the policy's delay: a person has asked for it, or it goes on after a fault."""
    return {**run, "delay": 0}


def over_all_levels(run: dict[str, Any]) -> dict[str, Any]:
    """Return the run as it is for HIGH priority."""
    return {**run, "single_level": False}


def anew(run: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a new run over the same rules, in the same way, that a person has asked for."""
    rules = {name: value for name, value in run.items() if name not in ("asked", "again", "raised_at")}
    return at_once(begin(rules, number, run["single_level"]))


def asking_first(run: dict[str, Any], person: int, minutes: int) -> dict[str, Any]:
    """Return the run with `person` in the first level that somebody is in; in one of `minutes` if nobody is in any."""
    rules: list[dict[str, Any]] = run["rules"]
    first = next((place for place, rule in enumerate(rules) if rule["users"]), None)
    if first is None:
        return {**run, "rules": [{"minutes": minutes, "users": [person]}]}
    users = sorted({*rules[first]["users"], person})
    return {**run, "rules": [*rules[:first], {**rules[first], "users": users}, *rules[first + 1 :]]}


def step(run: dict[str, Any]) -> Step:
    """Return what is to be done now and the run as it stands afterwards."""
    if delay := run.get("delay"):
        return Step((), 0, run["round"], (), delay, False, at_once(run))
    skipped: list[int] = []
    index, round_number = run["next"], run["round"]
    while (position := _position(run, index, round_number)) is not None:
        index, round_number = position
        rule = run["rules"][index]
        if rule["users"]:
            asked = {"level": index + 1, "users": rule["users"]}
            after = {**run, "next": index + 1, "round": round_number, "asked": asked}
            minutes = None if run["single_level"] else rule["minutes"]
            return Step(tuple(skipped), index + 1, round_number, tuple(rule["users"]), minutes, False, after)
        skipped.append(index + 1)
        index += 1
        if len(skipped) >= len(run["rules"]):
            break
    minutes = None if run["single_level"] else REMIND_MINUTES
    ended = {**run, "next": len(run["rules"]), "round": run["rounds"], "reminder": run["reminder"] + 1}
    return Step(tuple(skipped), 0, run["round"], (), minutes, True, ended)


def ask_again(run: dict[str, Any], responder: int | None) -> Step:
    """Return whom an accepted incident asks on which nobody has done anything: its responder and the first level.

    As a run of its own, so that its messages are new ones. Nobody, when there is no accept time-out (any more).
    """
    minutes = run.get("accept_timeout")
    if not minutes:
        return Step((), 0, run["round"], (), None, False, run)
    first: list[int] = next((rule["users"] for rule in run["rules"] if rule["users"]), [])
    users = dict.fromkeys([*([responder] if responder else []), *first])
    times = run.get("again", 0) + 1
    after = {**run, "number": run["number"] + 1, "again": times}
    return Step((), 0, run["round"], tuple(users), minutes, False, after, again=times)


def answered(run: dict[str, Any]) -> dict[str, Any]:
    """Return the run when somebody has done something about its accepted incident."""
    return {**run, "again": 0}


def current(run: dict[str, Any]) -> tuple[int, tuple[int, ...]] | None:
    """Return (level, user ids) of who was asked last, or None before the first step."""
    asked = run.get("asked")
    return (asked["level"], tuple(asked["users"])) if asked else None


def upcoming(run: dict[str, Any]) -> tuple[int, tuple[int, ...]] | None:
    """Return (level, user ids) of who is asked next, or None when nobody is left."""
    ahead = step(at_once(run))
    return (ahead.level, ahead.users) if ahead.level else None


def _position(run: dict[str, Any], index: int, round_number: int) -> tuple[int, int] | None:
    """Return the place to look at, going over to the next round at the end; None after the last round."""
    if index < len(run["rules"]):
        return index, round_number
    if round_number < run["rounds"] and run["rules"]:
        return 0, round_number + 1
    return None
