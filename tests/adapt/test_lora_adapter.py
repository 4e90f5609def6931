"""LoRAAdapter: its output, its gradients, that it learns and remembers, and what it refuses."""

import contextlib

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container
from samples import FLOAT_TYPES, assert_same_bits, layouts, normal

# Rows, in, out and rank: below, at and above a vector and a step of the kernel.
SIZES = [(1, 1, 1, 1), (3, 5, 5, 2), (7, 16, 16, 4), (5, 17, 17, 3), (4, 33, 20, 5), (2, 6, 41, 64)]


def unit(*shape, seed=0):
    x = normal(*shape, seed=seed)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def trained(in_dim, out_dim, *, steps=3, seed=3, runtime=None, **options):
    """Return an adapter whose B is not zeros."""
    adapter = fw.LoRAAdapter(in_dim, out_dim, seed=seed, runtime=runtime, **options)
    for i in range(steps):
        adapter.update(unit(in_dim, seed=i), unit(out_dim, seed=50 + i))
    return adapter


# The output.


@pytest.mark.parametrize(("rows", "in_dim", "out_dim", "rank"), SIZES)
def test_apply_is_the_formula(runtime, rows, in_dim, out_dim, rank):
    adapter = trained(in_dim, out_dim, rank=rank, alpha=3.0, learning_rate=0.1, runtime=runtime)
    x, a, b = normal(rows, in_dim), adapter.a, adapter.b
    assert np.abs(b).max() > 0
    assert (a.shape, b.shape) == ((rank, in_dim), (out_dim, rank))
    expected = reference.lora_apply(x, a, b, 3.0 / rank)
    bound = bounds.lora_apply(x, a, b, 3.0 / rank)
    bounds.assert_close(adapter.apply(x), expected, bound)
    assert_same_bits(adapter.apply(x[0]), adapter.apply(x)[0])
    assert_same_bits(adapter.apply(x[None, :, None])[0, :, 0], adapter.apply(x))


def test_a_new_adapter_changes_nothing(runtime):
    x = normal(9, 24)
    assert_same_bits(fw.LoRAAdapter(24, 24, runtime=runtime).apply(x), x)
    # There is no x to add to where the dimensions differ.
    assert not fw.LoRAAdapter(24, 10, runtime=runtime).apply(x).any()


def test_apply_takes_all_layouts_and_types(one_thread):
    adapter = trained(24, 24, runtime=one_thread)
    x = normal(6, 24)
    expected = adapter.apply(x)
    for name, array in layouts(x):
        assert_same_bits(adapter.apply(array), expected), name
    for kind in FLOAT_TYPES:
        narrow = x.astype(kind)
        assert_same_bits(adapter.apply(narrow), adapter.apply(narrow.astype(np.float32)))
    out = one_thread.empty((6, 24))
    assert adapter.apply(x, out=out) is out
    assert_same_bits(out, expected)
    resident = one_thread.asarray(x)
    assert one_thread.holds(adapter.apply(resident))
    assert_same_bits(adapter.apply(resident, out=resident), expected)
    assert adapter.apply(np.empty((0, 24))).shape == (0, 24)


def test_bits_do_not_depend_on_threads_or_parts():
    x = normal(3000, 64)
    results = []
    for threads, memory in ((1, None), (2, None), (3, None), (1, 3 << 19)):
        with fw.Runtime(threads=threads, max_memory=memory) as rt:
            adapter = trained(64, 64, rank=8, runtime=rt, optimizer="adam")
            results.append(adapter.apply(x))
            assert_same_bits(results[0], results[-1])


def test_nans_go_out_as_one(runtime):
    adapter = trained(8, 8, runtime=runtime)
    x = normal(3, 8)
    x[1].view(np.uint32)[3] = 0xFFC12345
    found = adapter.apply(x).view(np.uint32)
    assert (found[1] == 0x7FC00000).all()
    assert np.isfinite(found[[0, 2]].view(np.float32)).all()


# The gradients.

KINDS = [
    ("regression", {}, {}),
    *[
        (kind, {"metric": metric, "temperature": t, "adapted": adapted}, label)
        for kind, labels in (
            ("contrastive", [{}]),
            ("feedback", [{"accepted": True}, {"accepted": False}]),
        )
        for metric, t in (("cosine", 0.2), ("dot", 3.0))
        for adapted in (False, True)
        for label in labels
    ],
]
IDS = ["-".join(map(str, (k, *o.values(), *label.values()))) for k, o, label in KINDS]


def learn(adapter, kind, x, candidates, options, label, **more):
    """Make the update that the oracle's arguments describe; return its loss."""
    if kind == "regression":
        return adapter.update(x, candidates[0], **more)
    named = {"adapt_candidates": options["adapted"]} | more
    named |= {name: options[name] for name in ("metric", "temperature")}
    if kind == "contrastive":
        return adapter.update_contrastive(x, candidates[0], candidates[1:], **named)
    threshold = options.get("threshold", 0.0)
    return adapter.update_feedback(x, candidates[0], threshold=threshold, **label, **named)


def sample(kind, options, in_dim, out_dim, *, seed=0, negatives=4):
    columns = in_dim if options.get("adapted") else out_dim
    count = 1 + negatives if kind == "contrastive" else 1
    if kind == "feedback":
        options = options | {"threshold": 0.1}
    return normal(in_dim, seed=10 + seed), normal(count, columns, seed=20 + seed), options


def oracle_label(label):
    return {"label": int(not label.get("accepted", True))}


@pytest.mark.parametrize(("in_dim", "out_dim"), [(13, 13), (10, 7), (6, 9)])
@pytest.mark.parametrize(("kind", "options", "label"), KINDS, ids=IDS)
def test_gradients_are_those_of_the_loss(runtime, kind, options, label, in_dim, out_dim):
    """By a plain step so long that rounding the weights does not show."""
    rate, scale = 2.0**12, 1.5
    x, candidates, options = sample(kind, options, in_dim, out_dim)
    setting = {"rank": 3, "alpha": 3 * scale, "optimizer": "sgd", "runtime": runtime}
    adapter = trained(in_dim, out_dim, learning_rate=0.5, **setting)
    adapter.learning_rate = rate
    a, b = adapter.a, adapter.b
    loss = learn(adapter, kind, x, candidates, options, label, reward=0.75)

    def formula(a, b):
        named = options | oracle_label(label) | {"reward": 0.75}
        named = {"reward": 0.75} if kind == "regression" else named
        return reference.lora_loss(kind, a, b, scale, x, candidates, **named)

    assert loss == pytest.approx(formula(a, b), rel=2e-5, abs=1e-6)
    expected = reference.gradient(formula, a, b)
    for before, after, g in zip((a, b), (adapter.a, adapter.b), expected, strict=True):
        actual = (before.astype(np.float64) - after) / rate
        assert np.isfinite(actual).all()
        assert (np.abs(actual - g) <= 1e-4 * np.abs(g) + 2e-6 * np.abs(g).max()).all()


@pytest.mark.parametrize(("kind", "options", "label"), KINDS, ids=IDS)
def test_what_is_held_on_to(runtime, tmp_path, kind, options, label):
    """Fisher information, the anchor, and their part in the gradient."""
    setting = {"rank": 3, "optimizer": "sgd", "ewc_lambda": 50.0, "ewc_samples": 8}
    adapter = fw.LoRAAdapter(9, 9, learning_rate=0.01, runtime=runtime, **setting)
    taken = []
    for i in range(5):
        x, candidates, named = sample(kind, options, 9, 9, seed=i, negatives=1 + i * 3)
        learn(adapter, kind, x, candidates, named, label, reward=0.5 + i)
        taken.append((x, candidates, named))
    adapter.consolidate()
    a, b = adapter.a, adapter.b
    adapter.save(tmp_path / "adapter")
    container = read_container(tmp_path / "adapter", "lora-adapter")
    assert_same_bits(container.sections["anchor"], container.sections["weights"])
    expected = [np.zeros_like(a), np.zeros_like(b)]
    for i, (x, candidates, named) in enumerate(taken):
        more = {} if kind == "regression" else named
        one = reference.lora_fisher(kind, a, b, 1.0, x, candidates, reward=0.5 + i, **more)
        expected = [sum_ + part / len(taken) for sum_, part in zip(expected, one, strict=True)]
    # Rows of A, then of B transposed, of twelve numbers each.
    rows = container.sections["fisher"].reshape(2, 3, 12)
    for actual, fisher in zip((rows[0, :, :9], rows[1, :, :9].T), expected, strict=True):
        assert np.abs(actual - fisher).max() < 1e-4 * fisher.max()
    # A reward of 0 leaves the penalty's gradient alone, by which weights go home.
    container.sections["weights"].reshape(2, 3, 12)[1, :, :9] += normal(3, 9) * np.float32(0.1)
    write_container(tmp_path / "adapter", container)
    moved = fw.LoRAAdapter.load(tmp_path / "adapter", runtime=runtime)
    away = moved.b.astype(np.float64) - b
    learn(moved, kind, *taken[0], label, reward=0.0)
    step = (away + b - moved.b) / 0.01
    force = 50.0 * expected[1] * away
    assert np.abs(step - force).max() < 1e-3 * np.abs(force).max()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_adams(runtime, decay):
    """Ten steps beside the textbook's in float64."""
    adapter = fw.LoRAAdapter(
        10, 10, rank=2, learning_rate=0.02, weight_decay=decay, seed=5, runtime=runtime
    )
    weights = [adapter.a.astype(np.float64), adapter.b.astype(np.float64)]
    first, second = ([np.zeros_like(w) for w in weights] for _ in "12")
    for t in range(1, 11):
        x, target = unit(10, seed=t), unit(10, seed=30 + t)
        slopes = reference.gradient(
            lambda a, b, x=x, target=target: reference.lora_loss(
                "regression", a, b, 1.0, x, [target]
            ),
            *weights,
        )
        for w, m, v, g in zip(weights, first, second, slopes, strict=True):
            m[:] = 0.9 * m + 0.1 * g
            v[:] = 0.999 * v + 0.001 * g * g
            step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
            w[:] = w - 0.02 * decay * w - 0.02 * step
        adapter.update(x, target)
    # An element whose gradient is near zero takes a step of its sign.
    assert np.abs(adapter.a - weights[0]).max() < 1e-4
    assert np.abs(adapter.b - weights[1]).max() < 1e-4


# That it learns, and remembers.


@pytest.mark.parametrize(("optimizer", "rates"), [("sgd", [0.02]), ("adam", [1e-2, 1e-3, 1e-4])])
def test_a_truth_of_its_rank_is_recovered(one_thread, optimizer, rates):
    dim, rank = 32, 4
    a, b = normal(rank, dim) / np.sqrt(dim), normal(dim, rank, seed=1) / np.sqrt(rank)
    adapter = fw.LoRAAdapter(dim, dim, rank=rank, optimizer=optimizer, runtime=one_thread)
    for rate in rates:
        adapter.learning_rate = rate
        x = normal(6000, dim, seed=2)
        for one, target in zip(x, reference.lora_apply(x, a, b, 1.0), strict=True):
            adapter.update(one, target)
    error = adapter.b.astype(np.float64) @ adapter.a - b @ a
    assert np.linalg.norm(error) < 0.01 * np.linalg.norm(b @ a)


def test_a_learning_rate_may_change(one_thread):
    """The weight decay goes with it."""
    options = {"optimizer": "sgd", "weight_decay": 0.3, "seed": 3, "runtime": one_thread}
    changed = fw.LoRAAdapter(6, 6, learning_rate=0.5, **options)
    changed.learning_rate = 0.1
    fixed = fw.LoRAAdapter(6, 6, learning_rate=0.1, **options)
    for adapter in (changed, fixed):
        adapter.update(normal(6), normal(6, seed=1))
    assert_same_bits(changed.a, fixed.a)
    with pytest.raises(fw.ShapeError, match="learning_rate"):
        changed.learning_rate = 0


class Task:
    """Vectors of a few directions, some of them shared between tasks, that are turned by a rank."""

    def __init__(self, kind, number, dim=24, count=24):
        shared, own = normal(3, dim, seed=9), normal(5, dim, seed=number)
        basis = np.linalg.qr(np.concatenate([shared, own]).T)[0].T
        self.kind = kind
        self.x = normal(count, 8, seed=20 + number) @ basis
        a, b = normal(2, dim, seed=30 + number), normal(dim, 2, seed=40 + number) / dim
        self.y = reference.lora_apply(self.x, a, b, 1.0).astype(np.float32)
        self.options = {"temperature": 0.2, "metric": "cosine", "adapted": False}

    def sample(self, i):
        """Return candidates, and what the update and the oracle are told besides."""
        if self.kind == "contrastive":
            return np.concatenate([self.y[[i]], np.delete(self.y, i, axis=0)[:8]]), self.options, {}
        if self.kind == "regression":
            return self.y[[i]], {}, {}
        j = i if i % 2 else (i + 1) % len(self.x)
        return self.y[[j]], self.options | {"threshold": 0.5}, {"accepted": i == j}

    def learn(self, adapter, epochs=60):
        for epoch in range(epochs):
            for i in np.random.default_rng(epoch).permutation(len(self.x)):
                candidates, options, label = self.sample(i)
                learn(adapter, self.kind, self.x[i], candidates, options, label)

    def loss(self, adapter):
        total = 0.0
        for i, x in enumerate(self.x):
            candidates, options, label = self.sample(i)
            more = options | oracle_label(label) if options else {}
            total += reference.lora_loss(
                *(self.kind, adapter.a, adapter.b, 1.0, x, candidates), **more
            )
        return total / len(self.x)


@pytest.mark.parametrize("kind", ["regression", "contrastive", "feedback"])
def test_the_loss_falls_and_what_was_consolidated_stays(one_thread, kind):
    """A, then B: with consolidation A's loss rises at most half as much, and B is learned."""
    first, second = Task(kind, 1), Task(kind, 2)
    rise = {}
    for ewc_lambda in (0.0, 10.0):
        adapter = fw.LoRAAdapter(
            *(24, 24), learning_rate=0.01, ewc_lambda=ewc_lambda, runtime=one_thread
        )
        before = first.loss(adapter)
        first.learn(adapter)
        learned = first.loss(adapter)
        assert learned < 0.75 * before
        if ewc_lambda:
            adapter.consolidate()
        unlearned = second.loss(adapter)
        second.learn(adapter)
        rise[ewc_lambda] = first.loss(adapter) - learned
        assert second.loss(adapter) < 0.9 * unlearned
        # Back to A, which is soon as it was.
        first.learn(adapter, epochs=30)
        assert first.loss(adapter) < learned + 0.5 * max(rise[0.0], 0.0)
    assert rise[0.0] > 0.1 * learned
    assert rise[10.0] <= 0.5 * rise[0.0]


def test_consolidations_add_up(one_thread, tmp_path):
    adapter = trained(8, 8, ewc_lambda=1.0, runtime=one_thread)
    for name in "ab":
        adapter.consolidate()
        # Nothing was learned since: nothing changes.
        adapter.consolidate()
        adapter.save(tmp_path / name)
        adapter.update(normal(8), normal(8, seed=1))
    adapter.consolidate()
    adapter.save(tmp_path / "c")
    one, two, three = (
        read_container(tmp_path / name, "lora-adapter").sections["fisher"] for name in "abc"
    )
    assert (two >= one).all()
    assert (three >= two).all()
    assert three.sum() > two.sum() > one.sum()


def test_a_penalty_beyond_float32_is_refused(one_thread):
    adapter = fw.LoRAAdapter(6, 6, ewc_lambda=1e15, runtime=one_thread)
    adapter.update(1e4 * normal(6), normal(6))
    with pytest.raises(fw.ShapeError, match="ewc_lambda: expected a penalty of moderate size"):
        adapter.consolidate()
    # Nothing holds it.
    assert adapter.update(normal(6), normal(6)) > 0
    assert np.isfinite(adapter.b).all()


def test_samples_are_drawn_fairly(one_thread, tmp_path):
    """Each of 400 samples is among the 20 kept with the same chance; x says which it was."""
    counts = np.zeros(400)
    for seed in range(60):
        adapter = fw.LoRAAdapter(
            2, 2, seed=seed, ewc_lambda=1.0, ewc_samples=20, learning_rate=1e-9, runtime=one_thread
        )
        for i in range(400):
            adapter.update([i, 1.0], [i, 1.0])
        adapter.save(tmp_path / "adapter")
        words = read_container(tmp_path / "adapter", "lora-adapter").sections["samples"]
        kept = words[:, 16].view(np.float32).astype(int)
        assert len(set(kept)) == 20
        counts[kept] += 1
    for quarter in counts.reshape(4, 100).sum(axis=1):
        # 300 expected, with a standard deviation of 15.
        assert 240 < quarter < 360


# Determinism, and files.


def busy(runtime, **options):
    """Return an adapter after updates of every kind."""
    plain = {"rank": 3, "learning_rate": 0.01, "ewc_lambda": 2.0, "ewc_samples": 4}
    adapter = fw.LoRAAdapter(9, 9, seed=4, runtime=runtime, **plain | options)
    for i in range(3):
        for kind, given, label in KINDS:
            x, candidates, named = sample(kind, given, 9, 9, seed=i, negatives=2 + 5 * i)
            learn(adapter, kind, x, candidates, named, label)
        if i == 1 and adapter.ewc_lambda:
            adapter.consolidate()
    return adapter


@pytest.mark.parametrize("variant", ["relaxed", "simd128", "scalar"])
def test_the_same_steps_give_the_same_bits(variant):
    results = []
    for threads, fast in ((1, True), (2, True), (3, False)):
        with fw.Runtime(threads=threads, variant=variant, _fast_calls=fast) as rt:
            adapter = busy(rt)
            results.append((adapter.a, adapter.b, adapter.apply(normal(40, 9))))
            for x, y in zip(results[0], results[-1], strict=True):
                assert_same_bits(x, y)


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": "sgd", "alpha": 7.5}, {"ewc_lambda": 0.0, "weight_decay": 0.1}],
    ids=str,
)
def test_an_adapter_comes_back(runtime, tmp_path, options):
    adapter = busy(runtime, **options)
    adapter.save(tmp_path / "adapter")
    read = fw.LoRAAdapter.load(tmp_path / "adapter", runtime=runtime)
    assert repr(read) == repr(adapter) == "<LoRAAdapter 9 to 9, rank 3, 39 updates>"
    for name in ("alpha", "learning_rate", "optimizer", "weight_decay", "ewc_lambda", "seed"):
        assert getattr(read, name) == getattr(adapter, name)
    # What comes next has the same bits, too.
    for i in range(20):
        for one in (read, adapter):
            one.update_contrastive(normal(9, seed=i), normal(9), normal(30, 9))
        if one.ewc_lambda and i % 7 == 3:
            read.consolidate()
            adapter.consolidate()
    assert_same_bits(read.apply(normal(5, 9)), adapter.apply(normal(5, 9)))
    adapter.save(tmp_path / "one")
    read.save(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_changed_files_are_refused(one_thread, tmp_path):
    busy(one_thread).save(tmp_path / "adapter")
    content = (tmp_path / "adapter").read_bytes()
    damaged = tmp_path / "damaged"
    for i in range(0, len(content), 61):
        damaged.write_bytes(content[:i] + bytes([content[i] ^ 0x10]) + content[i + 1 :])
        with pytest.raises(fw.CorruptFileError):
            fw.LoRAAdapter.load(damaged, runtime=one_thread)
    for length in (0, 7, 100, len(content) - 1):
        damaged.write_bytes(content[:length])
        with pytest.raises(fw.CorruptFileError):
            fw.LoRAAdapter.load(damaged, runtime=one_thread)
    with pytest.raises(fw.CorruptFileError, match="whitening"):
        fw.Whitening.load(tmp_path / "adapter")
    with pytest.raises(FileNotFoundError):
        fw.LoRAAdapter.load(tmp_path / "none", runtime=one_thread)


def changes():
    """Yield what a file with right checksums may say wrong."""
    parameters = {
        "rank": [0, 2, 65, "3", None, 3.0],
        "in_dim": [8, 0, 4097, 13],
        "out_dim": [13],
        "alpha": [None.__class__, float("nan"), -1.0],
        "optimizer": ["sgd", "other", 3],
        "ewc_lambda": [0.0, -1.0],
        "ewc_samples": [3, 0],
        "seed": [-1],
        "progress": [[39, 17], [39, 52, 0.5, 0.5], [-1, 0, 0.5, 0.5], [39, 17, 2.0, 0.5], 3, None],
        "other": [1],
    }
    for name, values in parameters.items():
        for value in values:
            yield f"{name}={value}", (name, value if value is not type(None) else [1])
    for name in ("weights", "first", "anchor", "samples"):
        yield f"no {name}", (name, None)
        yield f"short {name}", (name, lambda x: x[:-1])
        yield f"integers in {name}", (name, lambda x: x.astype(np.int32))
    # Loss, candidates, adapted, metric, accepted.
    for head in ([3], [1, 0], [1, 2000], [1, 1, 2], [1, 1, 0, 2], [2, 1, 0, 0, 2], [0, 1, 1]):

        def edit(x, head=head):
            x = x.copy()
            x[1, : len(head)] = head
            return x

        yield f"samples: {head}", ("samples", edit)
    yield "samples: wider", ("samples", lambda x: np.pad(x, ((0, 0), (0, 1))))


@pytest.mark.parametrize("change", [pytest.param(c, id=name) for name, c in changes()])
def test_files_that_no_adapter_wrote_are_refused(one_thread, tmp_path, change):
    busy(one_thread).save(tmp_path / "adapter")
    container = read_container(tmp_path / "adapter", "lora-adapter")
    name, value = change
    if name not in container.sections:
        container.parameters[name] = value
    elif value is None:
        del container.sections[name]
    else:
        container.sections[name] = value(container.sections[name])
    write_container(tmp_path / "adapter", container)
    with pytest.raises(fw.CorruptFileError, match="no adapter's"):
        fw.LoRAAdapter.load(tmp_path / "adapter", runtime=one_thread)


# What acts, and what is refused.


@pytest.mark.parametrize(
    "options",
    [
        {"rank": 5},
        {"alpha": 2.0},
        {"learning_rate": 0.02},
        {"optimizer": "sgd"},
        {"weight_decay": 0.3},
        {"ewc_lambda": 90.0},
        {"ewc_samples": 2},
        {"seed": 5},
    ],
    ids=str,
)
def test_every_argument_acts(one_thread, options):
    plain = {"rank": 3, "learning_rate": 0.01, "ewc_lambda": 2.0, "ewc_samples": 4, "seed": 4}

    def result(**options):
        adapter = fw.LoRAAdapter(9, 9, runtime=one_thread, **plain | options)
        for i in range(20):
            adapter.update(normal(9, seed=i), normal(9, seed=40 + i))
            if i == 10:
                adapter.consolidate()
        return adapter.apply(normal(3, 9))

    assert np.abs(result() - result(**options)).max() > 1e-6


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.3}, {"metric": "dot"}, {"adapt_candidates": True}, {"reward": 2.0}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["contrastive", "feedback"])
def test_every_option_of_an_update_acts(one_thread, kind, options):
    def run(**options):
        adapter = trained(9, 9, optimizer="sgd", learning_rate=0.1, runtime=one_thread)
        near, far = normal(9, seed=1), normal(4, 9, seed=2)
        if kind == "contrastive":
            loss = adapter.update_contrastive(normal(9), near, far, **options)
        else:
            loss = adapter.update_feedback(normal(9), near, accepted=False, **options)
        return loss, adapter.apply(normal(9))

    (plain, y), (changed, z) = run(), run(**options)
    assert plain != changed
    assert np.abs(y - z).max() > 1e-6


def test_float64_lists_and_half_floats_are_taken(one_thread):
    x, target = normal(6).astype(np.float16), normal(6, seed=1).astype(np.float16)
    results = []
    for convert in (
        lambda v: v,
        lambda v: v.astype(np.float64),
        lambda v: v.astype(float).tolist(),
    ):
        adapter = trained(6, 6, runtime=one_thread)
        adapter.update(convert(x), convert(target))
        adapter.update_contrastive(convert(x), convert(target), [convert(x)])
        accepted = np.bool_(1)
        adapter.update_feedback(convert(x), convert(target), accepted, np.float32(1))
        results.append(adapter.apply(x))
        assert_same_bits(results[0], results[-1])


BAD = [
    (lambda a: a.update(normal(5), normal(6)), "x: expected shape (6,), got (5,)"),
    (lambda a: a.update(normal(1, 6), normal(6)), "x: expected shape (6,), got (1, 6)"),
    (lambda a: a.update(normal(6), normal(5)), "target: expected shape (6,), got (5,)"),
    (lambda a: a.update(normal(6), np.float32(3)), "target: expected shape (6,), got ()"),
    (lambda a: a.update(np.arange(6), normal(6)), "x: expected float32"),
    (lambda a: a.update("six", normal(6)), "x: expected float32"),
    (lambda a: a.update(normal(6), normal(6), reward=-1), "reward: expected a number from 0 to"),
    (lambda a: a.update(normal(6), normal(6), reward=np.nan), "reward: expected a finite number"),
    (lambda a: a.update(normal(6), normal(6), reward="1"), "reward: expected a number"),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(6)),
        "negatives: expected shape (n, 6), got (6,)",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(0, 6)),
        "negatives: expected 1 to 1023, got 0",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(1024, 6)),
        "negatives: expected 1 to 1023, got 1024",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(7), normal(2, 6)),
        "positive: expected shape (6,), got (7,)",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(2, 6), temperature=0),
        "temperature: expected a number from",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(2, 6), metric="l2"),
        "metric: expected one of 'cosine', 'dot', got 'l2'",
    ),
    (
        lambda a: a.update_feedback(normal(6), normal(6), accepted=1),
        "accepted: expected True or False",
    ),
    (
        lambda a: a.update_feedback(normal(6), normal(6), accepted=True, threshold=np.inf),
        "threshold: expected a finite number",
    ),
    (lambda a: a.apply(normal(4, 5)), "x: expected shape (..., 6), got (4, 5)"),
    (lambda a: a.apply(np.float32(1)), "x: expected at least 1 axes, got shape ()"),
    (lambda a: a.apply(normal(6), out=np.empty(5, np.float32)), "out: expected shape (6,)"),
    (lambda a: a.consolidate(), "ewc_lambda: expected more than 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[m for _, m in BAD])
def test_bad_input_is_named(one_thread, call, message):
    adapter = trained(6, 6, runtime=one_thread)
    before = adapter.apply(np.eye(6, dtype=np.float32))
    with pytest.raises((fw.ShapeError, fw.DTypeError)) as caught:
        call(adapter)
    assert str(caught.value).startswith(message)
    assert adapter.updates == 3
    assert_same_bits(adapter.apply(np.eye(6, dtype=np.float32)), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_dim": 0}, "in_dim: expected at least 1"),
        ({"in_dim": 4097}, "in_dim: expected at most 4096"),
        ({"out_dim": 2.5}, "out_dim: expected an integer"),
        ({"rank": 65}, "rank: expected at most 64"),
        ({"rank": True}, "rank: expected an integer"),
        ({"alpha": 0}, "alpha: expected a number from"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number from"),
        ({"learning_rate": 1e300}, "learning_rate: expected a number from"),
        ({"optimizer": "lbfgs"}, "optimizer: expected one of 'adam', 'sgd'"),
        ({"weight_decay": -0.1}, "weight_decay: expected a number from 0"),
        ({"ewc_lambda": np.inf}, "ewc_lambda: expected a finite number"),
        ({"ewc_samples": 0}, "ewc_samples: expected at least 1"),
        ({"seed": -1}, "seed: expected 0 to"),
        ({"seed": 1.5}, "seed: expected an integer"),
        ({"runtime": 3}, "runtime: expected a flashwasm.Runtime"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises((fw.ShapeError, fw.DTypeError)) as caught:
        fw.LoRAAdapter(**{"in_dim": 6, "out_dim": 6} | arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("wrong", [np.nan, -np.inf, 1e30])
@pytest.mark.parametrize("kind", ["regression", "contrastive", "feedback"])
def test_what_is_not_finite_changes_nothing(runtime, kind, wrong):
    """Neither the weights, nor what is kept for a consolidation."""
    options = {"temperature": 1.0, "metric": "dot", "adapted": False}
    adapters = [trained(6, 6, ewc_lambda=1.0, runtime=runtime) for _ in range(2)]
    x, candidates, options = sample(kind, options, 6, 6)
    x[2] = candidates[0, 3] = wrong
    with pytest.raises(fw.ShapeError, match="finite"):
        learn(
            adapters[0],
            kind,
            x,
            candidates,
            options,
            {"accepted": True} if kind == "feedback" else {},
        )
    for adapter in adapters:
        adapter.update(normal(6), normal(6, seed=1))
        adapter.consolidate()
        adapter.update(normal(6), normal(6, seed=1))
    assert_same_bits(*(adapter.apply(normal(3, 6)) for adapter in adapters))


def test_vectors_of_zeros_have_no_gradient(runtime):
    adapter = trained(6, 6, runtime=runtime, optimizer="sgd")
    before = adapter.apply(normal(4, 6))
    loss = adapter.update_contrastive(np.zeros(6), normal(6), normal(3, 6), temperature=1.0)
    assert loss == pytest.approx(np.log(4))
    assert_same_bits(adapter.apply(normal(4, 6)), before)


def test_candidates_of_both_lengths_follow_each_other(runtime):
    """A short row does not see what a longer one left behind it."""
    one, other = (trained(11, 6, optimizer="sgd", runtime=runtime) for _ in range(2))
    x = normal(11)
    one.update_contrastive(x, 100 * normal(11), normal(3, 11), adapt_candidates=True, reward=0.0)
    losses = [a.update_contrastive(x, normal(6), normal(3, 6), reward=0.5) for a in (one, other)]
    assert losses[0] == losses[1]


def test_the_largest_sizes(one_thread):
    adapter = fw.LoRAAdapter(4096, 4096, rank=64, ewc_lambda=1.0, ewc_samples=1, runtime=one_thread)
    x, near, far = normal(4096), normal(4096, seed=1), normal(1023, 4096, seed=2)
    for _ in range(2):
        loss = adapter.update_contrastive(x, near, far, adapt_candidates=True, temperature=1.0)
    assert 0 < loss < 10
    assert adapter.nbytes > 3 * 64 * 8192 * 4


def test_a_closed_runtime_is_named(tmp_path):
    rt = fw.Runtime(threads=1)
    adapter = trained(6, 6, ewc_lambda=1.0, runtime=rt)
    adapter.save(tmp_path / "adapter")
    rt.close()
    for call in (
        lambda: adapter.update(normal(6), normal(6)),
        lambda: adapter.update_contrastive(normal(6), normal(6), normal(30, 6)),
        lambda: adapter.update_feedback(normal(6), normal(6), accepted=True),
        lambda: adapter.apply(normal(6)),
        adapter.consolidate,
        lambda: fw.LoRAAdapter(6, 6, runtime=rt),
        lambda: fw.LoRAAdapter.load(tmp_path / "adapter", runtime=rt),
    ):
        with pytest.raises(fw.ClosedError):
            call()


def test_a_timeout_of_the_runtime_holds(tmp_path):
    with fw.Runtime(threads=1, timeout=1e-9) as rt:
        with pytest.raises(fw.DeadlineExceeded):
            fw.LoRAAdapter(6, 6, runtime=rt).apply(normal(6))
        rt.timeout = 10.0
        adapter = trained(6, 6, ewc_lambda=1.0, runtime=rt)
        with pytest.raises(fw.DeadlineExceeded):
            adapter.consolidate(timeout=1e-9)
        adapter.consolidate()
        adapter.save(tmp_path / "adapter")
    assert "fisher" in read_container(tmp_path / "adapter", "lora-adapter").sections


def test_a_sample_too_large_for_memory_changes_nothing():
    for kept in (1, 60):
        with fw.Runtime(threads=1, max_memory=3 << 20) as rt:
            one, other = (
                trained(64, 64, ewc_lambda=1.0, ewc_samples=kept, runtime=rt) for _ in range(2)
            )
            filler = []
            with contextlib.suppress(fw.OutOfMemoryError):
                while True:
                    filler.append(rt.empty(4096))
            with pytest.raises(fw.OutOfMemoryError):
                one.update_contrastive(normal(64), normal(64), normal(1000, 64))
            del filler
            for adapter in (one, other):
                adapter.update_contrastive(normal(64), normal(64), normal(7, 64))
            assert_same_bits(one.apply(normal(9, 64)), other.apply(normal(9, 64)))


def test_memory_goes_back():
    with fw.Runtime(threads=1) as rt:
        before = rt.stats().bytes_in_use
        adapter = busy(rt)
        used = rt.stats().bytes_in_use - before
        assert adapter.nbytes <= used <= adapter.nbytes + 20 * 64
        del adapter
        assert rt.stats().bytes_in_use == before
