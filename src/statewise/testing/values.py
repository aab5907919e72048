"""Items 1 to 5 of the law: what holds for values."""

from __future__ import annotations

import torch

from statewise import state as states
from statewise.recurrence import Input
from statewise.state import State
from statewise.testing.case import (
    Case,
    Start,
    at,
    copy_of,
    padded,
    poison,
    row_of,
    run_chunks,
    span,
    uneven,
)
from statewise.testing.compare import fields, signature


def check_structure(case: Case) -> None:
    """Item 1: one structure before and after step and forward, the batch on axis 0, one form of output."""
    for batch in (1, 2, case.batch):
        fresh = case.module.initial_state(batch)
        for name, leaf in states.named(fresh).items():
            if leaf.dim() == 0 or leaf.shape[0] != batch:
                got = f"leaf {name} of initial_state({batch}) has shape {list(leaf.shape)}"
                raise case.fail(1, f"{got}, want the batch on axis 0")
        x = case.draw(3, batch)
        y, stepped = case.module.step(at(x, 0), fresh)
        outputs, whole = case.module(x, fresh)
        for what, after in (("step", stepped), ("forward", whole)):
            if signature(after) != signature(fresh):
                raise case.fail(1, f"after {what} it is {fields(after)}, want {fields(fresh)}")
        want = states.map_state(lambda part: part[:, 0], outputs)
        if signature(y) != signature(want):
            raise case.fail(1, f"step gives {fields(y)}, one step of forward gives {fields(want)}")


def check_steps(case: Case, start: Start) -> None:
    """Item 2: repeated steps give what forward gives, and nothing is remembered outside the state."""
    module, state, x = case.module, start.state, case.draw()
    kept, kept_x = copy_of(state), copy_of(x)
    whole = module(x, state)
    case.unchanged(2, "forward changes its state", state, kept)
    case.unchanged(2, "forward changes its input", x, kept_x)
    for name, part in states.named(whole[0]).items():
        if not torch.isfinite(part).all():
            raise case.fail(2, f"{name if name != 'state' else 'outputs'}: NaN or infinite for finite input")
    _check_no_memory(case, x, state, whole)
    _check_no_future(case, x, state, whole[0])
    _check_stepping(case, x, state, whole, f"from {start.name}")


def _check_no_memory(case: Case, x: Input, state: State, whole: tuple[State, State]) -> None:
    hint = "the same call gives other answers; draws at random belong in the state, or call .eval() first"
    case.equal(2, hint, case.module(x, state), whole)
    torch.manual_seed(case.seed)
    default = case.module(x)
    torch.manual_seed(case.seed)
    fresh = case.module.initial_state(case.batch)
    case.equal(2, "forward without a state and from initial_state", default, case.module(x, fresh))


def _check_no_future(case: Case, x: Input, state: State, outputs: State) -> None:
    for now in range(1, case.time):
        other = states.map_state(
            lambda a, b, now=now: torch.cat((a[:, :now], b[:, now:]), dim=1), x, case.draw()
        )
        past = span(case.module(other, state)[0], 0, now)
        case.equal(2, f"outputs before step {now} when x changes from there on", past, span(outputs, 0, now))


def _check_stepping(case: Case, x: Input, state: State, whole: tuple[State, State], start: str) -> None:
    seen, outputs = [(state, copy_of(state))], []
    for t in range(case.time):
        x_t = at(x, t)
        copy = copy_of(x_t)
        y, state = case.module.step(x_t, state)
        case.unchanged(2, "step changes its input", x_t, copy)
        case.unchanged(2, "step changes its state", *seen[-1])
        seen.append((state, copy_of(state)))
        outputs.append((y, copy_of(y)))
    for before, copy in seen:
        case.unchanged(2, "a later step changes an earlier state", before, copy)
    for y, copy in outputs:
        case.unchanged(2, "a later step changes an earlier output", y, copy)
    stacked = states.map_state(lambda *parts: torch.stack(parts, dim=1), *(y for y, _ in outputs))
    case.equal(2, f"outputs of steps and whole {start}", stacked, whole[0])
    case.equal(2, f"final state of steps and whole {start}", state, whole[1])
    middle = case.time // 2
    again = case.module.step(at(x, middle), seen[middle][0])
    case.equal(2, f"step {middle} taken again from its own state", again[0], outputs[middle][0])


def check_cuts(case: Case, start: Start) -> None:
    """Item 3: every single cut, the empty chunk, chunks of one step, three chunks."""
    x, time = case.draw(), case.time
    whole = case.module(x, start.state)
    cuts = [[t] for t in range(time + 1)] + [list(range(1, time)), [1, time // 2], [time // 2, time - 1]]
    for cut in cuts:
        with case.works(3, f"a cut at {cut} of {time} steps"):
            outputs, final = run_chunks(case, x, start.state, cut)
        where = f"cut at {cut} from {start.name}"
        case.equal(3, f"outputs {where}", outputs, whole[0])
        case.equal(3, f"final state {where}", final, whole[1])


def check_rows(case: Case, start: Start) -> None:
    """Item 5: a row alone, in another order, beside rows of NaN; a batch of no rows."""
    x, state, module = case.draw(), start.state, case.module
    whole, first = module(x, state), module.step(at(x, 0), state)
    order = torch.arange(case.batch).flip(0)
    turned = module(states.take(x, order), states.take(state, order))
    case.equal(5, "rows in another order", turned, states.take(whole, order))
    for row in range(case.batch):
        alone = module(row_of(x, row), row_of(state, row))
        case.equal(5, f"row {row} alone and in a batch", alone, row_of(whole, row))
        stepped = module.step(at(row_of(x, row), 0), row_of(state, row))
        case.equal(5, f"one step of row {row} alone and in a batch", stepped, row_of(first, row))
        others = _others(case, x, row)
        case.equal(5, f"row {row} beside rows of NaN", row_of(module(others, state), row), row_of(whole, row))
        stepped = module.step(at(others, 0), state)
        case.equal(5, f"one step of row {row} beside rows of NaN", row_of(stepped, row), row_of(first, row))
    none = order[:0]
    with case.works(5, "a batch of no rows"):
        empty = module(states.take(x, none), states.take(state, none))
        case.equal(5, "a batch of no rows", empty, states.take(whole, none))


def _others(case: Case, x: Input, row: int) -> Input:
    """`x` with every row but one replaced: by NaN, or by other values where there is no NaN."""
    mine = torch.arange(case.batch) == row
    return states.where(mine, x, states.map_state(poison, case.draw()))


def check_padding(case: Case, start: Start) -> None:
    """Item 4: rows of uneven length, one empty, padded with numbers and with NaN, whole and in two chunks."""
    module, state, x, lengths = case.module, start.state, case.draw(), uneven(case)
    kept, before = lengths.clone(), copy_of(state)
    full = torch.full_like(lengths, case.time)
    case.equal(4, "lengths of all steps and no lengths", module(x, state, full), module(x, state))
    for filled, fill in (("other values", torch.clone), ("NaN", poison)):
        spoiled = padded(case, x, lengths, fill)
        copy = copy_of(spoiled)
        outputs, final = module(spoiled, state, lengths)
        case.unchanged(4, "forward changes its input", spoiled, copy)
        case.unchanged(4, "forward changes its lengths", lengths, kept)
        case.unchanged(4, "forward changes its state", state, before)
        for row, length in enumerate(lengths.tolist()):
            where = f"row {row} of length {length} padded with {filled}"
            _check_padded_row(case, x, start, row_of((outputs, final), row), row, length, where)
        pieces = run_chunks(case, spoiled, state, [case.time // 2], lengths)
        case.equal(4, f"cut at {case.time // 2}, padded with {filled}", pieces, (outputs, final))


def _check_padded_row(
    case: Case, x: Input, start: Start, got: tuple[State, State], row: int, length: int, where: str
) -> None:
    outputs, final = got
    after = span(outputs, length)
    case.equal(4, f"outputs after the end, {where}", after, states.map_state(torch.zeros_like, after))
    state = row_of(start.state, row)
    if length == 0:
        case.unchanged(4, "an empty row's state changes", final, state, how="")
        return
    alone, last = case.module(span(row_of(x, row), 0, length), state)
    case.equal(4, f"outputs of {where}", span(outputs, 0, length), alone)
    case.equal(4, f"final state of {where}", final, last)
