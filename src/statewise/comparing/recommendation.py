"""What to use, in plain sentences with their numbers: a cell only when it beats the best baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from statewise.comparing.entry import Entry, shown, signed
from statewise.comparing.job import CUT_SHORT, FAILED, NOT_FINISHED
from statewise.comparing.judgement import SURE, Gap
from statewise.core.quantities import duration_text, size_text

GapOf = Callable[[str, str], Gap]
_CLEARLY = 1.25  # times as fast or as small: worth a word


@dataclass(frozen=True)
class Advice:
    """The competitor to use ("" when nothing can be said), and why."""

    name: str
    text: str


def advise(entries: Sequence[Entry], rival: Entry | None, unit: str, gap_of: GapOf) -> Advice:
    """The advice on entries that are sorted by loss; `rival` is the best baseline.

    `gap_of(a, b)` compares any two. A cell is recommended when it is within the limits, was not cut short by
    a failure, and beats the rival with a corrected p below 0.05.
    """
    cells = [entry for entry in entries if entry.is_cell]
    tested = sum(entry.scored for entry in cells)
    lines: list[str] = []
    winners = [cell for cell in cells if rival and _beats(cell) and not cell.over_limits]
    if rival is None:
        lines.append("No baseline could be scored, so nothing can be recommended.")
    elif winners:
        lines.append(_use(winners[0], rival, unit, tested))
        lines += _as_good(winners[0], winners[1:], gap_of)
    else:
        lines.append(_refusal(cells, rival, unit, tested))
    best = winners[0] if winners else None
    lines += [_too_costly(cell, best) for cell in cells if cell.over_limits]
    lines += [line for cell in cells if (line := _unfinished(cell))]
    lines += [line for entry in entries if not entry.is_cell and (line := _unfinished(entry))]
    name = best.name if best else rival.name if rival else ""
    return Advice(name, "\n".join(lines))


def _beats(cell: Entry) -> bool:
    if cell.gap is None or cell.p is None or cell.status == FAILED:
        return False
    return cell.gap.mean < 0 and cell.p < SURE


def _use(cell: Entry, rival: Entry, unit: str, tested: int) -> str:
    assert cell.gap is not None
    sizes = f"hidden size {cell.settings['hidden_size']}, {cell.parameters:,} parameters"
    costs = _costs(cell)
    return (
        f"Use {cell.name} ({sizes}): {unit} {cell.loss} against {shown(cell.gap.rival_loss)} of "
        f"{rival.name}, the best baseline: {abs(cell.gap.percent):.1f} % better ({_evidence(cell, tested)})."
        + (f" {costs}" if costs else "")
    )


def _refusal(cells: Sequence[Entry], rival: Entry, unit: str, tested: int) -> str:
    scored = [cell for cell in cells if cell.scored and cell.gap is not None]
    within = [cell for cell in scored if not cell.over_limits]
    if not scored:
        return f"Use {rival.name}, the best baseline: no cell could be scored."
    if not within:
        return f"Use {rival.name}, the best baseline: no cell keeps the limits."
    best = within[0]
    assert best.gap is not None
    if math.isinf(best.gap.half_width):
        return (
            f"Use {rival.name}, the best baseline, until more is known: too few origins to tell any cell "
            f"from it ({best.name} has {unit} {best.loss} against {shown(best.gap.rival_loss)}). Give more."
        )
    side = "better" if best.gap.mean < 0 else "worse"
    many = f"The best of {len(within)}, {best.name}," if len(within) > 1 else f"{best.name}"
    why = "which may be luck" if side == "better" else "so it does not pay"
    return (
        f"Use {rival.name}, the best baseline: no cell beats it by more than luck. {many} has {unit} "
        f"{best.loss} against {shown(best.gap.rival_loss)}, {abs(best.gap.percent):.1f} % {side}, {why} "
        f"({_evidence(best, tested)})."
    )


def _evidence(cell: Entry, tested: int) -> str:
    """The difference with its interval, and the p-value with what it was corrected for."""
    assert cell.gap is not None
    assert cell.p is not None
    interval = f"difference {signed(cell.gap.mean)} ± {shown(cell.gap.half_width)}, 95 %"
    corrected = f", corrected for {tested} cells" if tested > 1 else ""
    seeds = f"{cell.seeds} seeds" if cell.seeds > 1 else "one seed, so its luck is not known"
    return f"{interval}, paired over origins, {seeds}; p = {_p(cell.p)}{corrected}"


def _as_good(best: Entry, others: Sequence[Entry], gap_of: GapOf) -> list[str]:
    """Winners that cannot be told from the best one, and by how much they are clearly faster or smaller."""
    equal = [other for other in others if gap_of(other.name, best.name).p >= SURE]
    if not equal:
        return []
    gains = [f"{other.name} has {gain}" for other in equal if (gain := _gains(other, best))]
    names = [other.name for other in equal]
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    more = f"; where it matters: {', '.join(gains)}" if gains else ""
    return [f"{listed} cannot be told from it{more}."]


def _gains(other: Entry, best: Entry) -> str:
    costs = (
        (other.step_seconds, best.step_seconds, "step", "fast"),
        (other.state_bytes, best.state_bytes, "state", "small"),
        (other.train_processor_seconds, best.train_processor_seconds, "training", "fast"),
    )
    return " and ".join(
        f"a {what} {times:.1f} times as {how}"
        for mine, theirs, what, how in costs
        if mine and theirs and (times := theirs / mine) >= _CLEARLY
    )


def _too_costly(cell: Entry, best: Entry | None) -> str:
    beats = ""
    if _beats(cell) and cell.loss.mean is not None:
        better = best is None or (best.loss.mean is not None and cell.loss.mean < best.loss.mean)
        beats = " It would be the best without the limit." if better else " It too beats the baseline."
    return f"{cell.name} is left out: {'; '.join(cell.over_limits)}.{beats}"


def _unfinished(entry: Entry) -> str:
    if entry.status == FAILED:
        return f"{entry.name} failed: {entry.message.rstrip('.')}."
    if entry.status in (NOT_FINISHED, CUT_SHORT):
        more = " A larger budget would say more." if entry.status == CUT_SHORT else ""
        return f"{entry.name} was {entry.status}: {entry.message}.{more}".replace(": .", ".")
    return ""


def _costs(cell: Entry) -> str:
    if cell.step_seconds is None or cell.state_bytes is None or cell.weight_bytes is None:
        return ""
    return (
        f"A live step takes {duration_text(cell.step_seconds)}, the state of a session "
        f"{size_text(cell.state_bytes)}, the weights {size_text(cell.weight_bytes)}."
    )


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"
