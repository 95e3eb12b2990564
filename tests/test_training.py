"""One recipe: the schedule runs, batches are balanced, the best epoch is kept, seeds repeat."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.metrics import best_weighted_f1
from lcc_utils.nn import classifier, compiled, out_of_fold, training
from lcc_utils.nn.batches import TrainingBatches, prediction_batches
from lcc_utils.nn.classifier import backbone_paths
from lcc_utils.nn.course import Course
from lcc_utils.nn.out_of_fold import fit_out_of_fold
from lcc_utils.nn.schedules import Constant, LayerwiseAdamW, OneCycle
from lcc_utils.nn.settings import Augmentation, ExperimentSettings
from lcc_utils.nn.training import Cells, fit, predict_scores, train_all

SETTINGS = {
    "pixels": {"size": 32},
    "model": {"backbone": "small_cnn"},
    "augmentation": {"policy": "paper", "target": "all"},
    "training": {"epochs": 3, "batch": 16},
}


def settings(**changes) -> ExperimentSettings:
    values = {**SETTINGS, **changes}
    return ExperimentSettings(**values)


@pytest.fixture(scope="module")
def data():
    """Bright and dark squares: easy to tell apart, three bright to one dark."""
    rng = np.random.default_rng(0)
    labels = np.tile([1, 1, 1, 0], 40)
    pixels = rng.integers(0, 60, (160, 32, 32, 3), np.uint8) + 100 * labels[:, None, None, None]
    rows = np.arange(160)
    return (
        pixels.astype(np.uint8),
        Cells(rows[:112], labels[:112]),
        Cells(rows[112:], labels[112:]),
    )


def scripted(*values):
    """A validation F1 that takes these values, epoch by epoch."""
    coming = iter(values)
    return lambda labels, scores: next(coming)


def test_one_cycle_starts_rises_peaks_and_ends_as_defined():
    schedule = OneCycle(1e-3, 101)
    rate = [float(schedule(step)) for step in range(101)]
    assert rate[0] == pytest.approx(4e-5)
    assert rate[15] == pytest.approx((1e-3 + 4e-5) / 2)
    assert rate[30] == pytest.approx(1e-3) == max(rate)
    assert rate[65] == pytest.approx((1e-3 + 4e-9) / 2, rel=1e-4)
    assert rate[100] == pytest.approx(4e-9, rel=1e-2)
    schedule.assign(2e-3, 11)
    assert float(schedule(3)) == pytest.approx(2e-3)


def test_constant_stays():
    assert [float(Constant(4e-5)(step)) for step in (0, 50)] == pytest.approx([4e-5] * 2)


def batches(labels, **changes):
    values = {
        "batch": 8, "sampling": "balanced", "augmentation": Augmentation(policy="none"), "seed": 0,
    }  # fmt: skip
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    pixels = np.broadcast_to(pixels, (len(labels), 4, 4, 3))
    return TrainingBatches(pixels, np.arange(len(labels)), labels, **{**values, **changes})


def drawn(some: TrainingBatches) -> np.ndarray:
    return np.concatenate([some[i][0][0][:, 0, 0, 0] for i in range(len(some))]).astype(int)


def test_balanced_epochs_hold_every_cell_and_both_classes_equally():
    labels = np.array([1] * 24 + [0] * 8)
    counts = np.bincount(drawn(batches(labels)), minlength=32)
    assert counts[:24].tolist() == [1] * 24
    assert counts[24:].tolist() == [3] * 8
    natural = drawn(batches(labels, sampling="natural"))
    assert sorted(natural) == list(range(32))


SUBJECTS = np.array(["a"] * 20 + ["b"] * 4 + ["h"] * 5 + ["i"] * 2 + ["j"])


def test_sampling_by_subject_draws_each_subject_of_a_class_equally_often():
    labels = np.array([1] * 24 + [0] * 8)
    some = batches(labels, sampling="subject", subjects=SUBJECTS)
    cells = drawn(some)
    names, counts = np.unique(SUBJECTS[cells], return_counts=True)
    assert dict(zip(names, counts.tolist(), strict=True)) == {
        "a": 12, "b": 12, "h": 8, "i": 8, "j": 8,
    }  # fmt: skip
    times = np.bincount(cells, minlength=32)
    assert times[:20].max() == 1  # 12 of 20, none twice
    assert times[20:24].tolist() == [3] * 4
    assert sorted(times[24:29]) == [1, 1, 2, 2, 2]
    assert times[29:].tolist() == [4, 4, 8]


def test_sampling_by_subject_follows_from_seed_and_epoch_and_reaches_every_cell():
    labels = np.array([1] * 24 + [0] * 8)
    some, same = (batches(labels, sampling="subject", subjects=SUBJECTS) for _ in range(2))
    assert np.array_equal(drawn(some), drawn(same))
    seen = set()
    for epoch in range(8):
        same.start_epoch(epoch)
        seen |= set(drawn(same).tolist())
    assert seen == set(range(32))
    assert not np.array_equal(drawn(some), drawn(same))


def test_a_remainder_goes_to_subjects_by_chance():
    labels = np.array([1] * 10 + [0] * 3)  # ten draws for three subjects: 4, 3 and 3
    subjects = np.array([7] * 10 + [1, 2, 3])
    extra = set()
    for seed in range(12):
        some = batches(labels, batch=20, sampling="subject", subjects=subjects, seed=seed)
        times = np.bincount(drawn(some), minlength=13)
        assert sorted(times[10:]) == [3, 3, 4]
        extra.add(int(times[10:].argmax()))
    assert extra == {0, 1, 2}


def test_repeats_of_a_cell_are_told_apart_when_sampling_by_subject():
    pixels = np.random.default_rng(0).integers(50, 200, (4, 16, 16, 3), np.uint8)
    some = TrainingBatches(
        pixels, np.arange(4), np.array([1, 1, 1, 0]), batch=6, sampling="subject", seed=0,
        subjects=np.array(["a", "a", "a", "h"]),
        augmentation=Augmentation(policy="paper", target="all", engine="imgaug"),
    )  # fmt: skip
    (images, _), targets = some[0]
    hem = images[targets[:, 0] == 1]
    assert len(hem) == 3
    assert len({image.tobytes() for image in hem}) == 3


def test_sampling_by_subject_needs_subjects(data):
    pixels, train, validation = data
    recipe = {"epochs": 1, "batch": 16, "sampling": "subject"}
    with pytest.raises(RequestError, match="subjects of the training cells are not given"):
        fit(settings(training=recipe), pixels, train, validation, 0, best_weighted_f1)


@pytest.mark.parametrize(
    "view, expected",
    [
        (0, [[1, 2], [3, 4]]),
        (1, [[2, 4], [1, 3]]),
        (2, [[4, 3], [2, 1]]),
        (3, [[3, 1], [4, 2]]),
        (4, [[2, 1], [4, 3]]),
        (5, [[4, 2], [3, 1]]),
        (6, [[3, 4], [1, 2]]),
        (7, [[1, 3], [2, 4]]),
    ],
)
def test_views_are_the_eight_ways_to_lay_down_a_square(view, expected):
    pixels = np.zeros((3, 2, 2, 3), np.uint8)
    pixels[1] = np.array([[1, 2], [3, 4]])[..., None]
    (batch,) = prediction_batches(pixels, np.array([0, 1]), 8, view)
    assert batch.dtype == np.float32
    assert batch[1, :, :, 0].tolist() == expected
    assert not batch[0].any()


def test_scores_are_means_over_views(data):
    pixels, _, validation = data
    model = compiled.prepare(settings(), 3).logits
    rows = validation.rows[:5]
    one = predict_scores(model, pixels, rows)
    turned = np.concatenate([np.rot90(pixels[rows], k, axes=(1, 2)) for k in range(4)])
    mirrored = np.concatenate([turned, turned[:, :, ::-1]])
    by_hand = predict_scores(model, mirrored, np.arange(40)).reshape(8, 5)
    np.testing.assert_array_equal(by_hand[0], one)
    assert np.ptp(by_hand, axis=0).min() > 0
    four, eight = (predict_scores(model, pixels, rows, views=n) for n in (4, 8))
    np.testing.assert_allclose(four, by_hand[:4].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(eight, by_hand.mean(axis=0), rtol=1e-6)


def test_validation_scores_use_the_views_of_the_settings(data):
    pixels, train, validation = data
    recipe = {"epochs": 1, "batch": 16, "steps_per_epoch": 1}
    own = settings(training=recipe, prediction={"views": 4})
    fitted = fit(own, pixels, train, validation, 0, best_weighted_f1)
    scores = [predict_scores(fitted.logits, pixels, validation.rows, views=n) for n in (1, 4)]
    np.testing.assert_array_equal(fitted.validation_scores, scores[1])
    assert not np.array_equal(*scores)


OUT_OF_FOLD = {"epochs": 3, "batch": 16, "steps_per_epoch": 3, "refit": True}


def all_cells(data) -> tuple[np.ndarray, Cells, np.ndarray]:
    """Both sets of cells together, and parts of 40 cells each."""
    pixels, train, validation = data
    rows = np.concatenate([train.rows, validation.rows])
    labels = np.concatenate([train.labels, validation.labels])
    return pixels, Cells(rows, labels), np.arange(160) // 40


def test_out_of_fold_each_cell_is_scored_by_a_model_without_its_part(data, monkeypatch):
    pixels, cells, parts = all_cells(data)
    seen, scored = [], []
    real, scores = out_of_fold.start, out_of_fold.predict

    def watched(own, array, chosen, seed):
        seen.append(set(chosen.rows))
        return real(own, array, chosen, seed)

    def noted(model, array, rows):
        scored.append(set(rows))
        return scores(model, array, rows)

    monkeypatch.setattr(out_of_fold, "start", watched)
    monkeypatch.setattr(out_of_fold, "predict", noted)
    own, rows = settings(training=OUT_OF_FOLD), []
    truth = cells.labels
    fitted = fit_out_of_fold(
        own, pixels, cells, truth, parts, 0, scripted(0.5, 0.9, 0.6), rows.append
    )
    assert [len(chosen) for chosen in seen] == [120] * 4
    for part in range(4):
        for held in scored[3 * part : 3 * part + 3]:
            assert held == set(range(40 * part, 40 * part + 40)) == set(range(160)) - seen[part]
    # Four inner trainings of three epochs, and two epochs on all: the second was the best.
    assert fitted.best_epoch == 2
    assert len(rows) == len(fitted.epoch_seconds) == 4 * 3 + 2
    assert [row["epoch"] for row in fitted.history] == [1, 2, 3]
    for epoch, row in enumerate(fitted.history):
        inner = [rows[3 * part + epoch] for part in range(4)]
        assert row["loss"] == pytest.approx(np.mean([own["loss"] for own in inner]))
        assert row["val_loss"] == pytest.approx(np.mean([own["val_loss"] for own in inner]))
    assert roc_auc_score(truth, fitted.validation_scores) == fitted.history[1]["val_auc"]


def test_the_scores_out_of_fold_are_those_of_models_trained_alike(data):
    pixels, cells, parts = all_cells(data)
    own = settings(training=OUT_OF_FOLD | {"selection": "last"})
    fitted = fit_out_of_fold(own, pixels, cells, cells.labels, parts, 0, best_weighted_f1)
    assert fitted.best_epoch == 3
    found = fitted.validation_scores, predict_scores(fitted.logits, pixels, cells.rows)
    held = parts == 1
    inner = train_all(own, pixels, cells[~held], 0)
    by_hand = predict_scores(inner.logits, pixels, cells.rows[held])
    np.testing.assert_array_equal(found[0][held], by_hand)
    # The final model is one trained on all cells; it stops early on the same schedule.
    whole = train_all(own, pixels, cells, 0)
    np.testing.assert_array_equal(predict_scores(whole.logits, pixels, cells.rows), found[1])
    course = Course(None)
    train_all(own, pixels, cells, 0, course, epochs=2)
    assert len(course.rows) == 2
    assert course.rows[-1]["learning_rate"] > 1e-5  # six of nine steps: not yet at the end


def test_labels_turned_over_train_and_do_not_choose(data):
    pixels, cells, parts = all_cells(data)
    own = settings(training=OUT_OF_FOLD | {"epochs": 1})
    watched = []

    def noted(labels, scores):
        watched.append(labels)
        return best_weighted_f1(labels, scores)

    turned = replace(cells, labels=1 - cells.labels)
    fitted = fit_out_of_fold(own, pixels, turned, cells.labels, parts, 0, noted)
    assert all((labels == cells.labels).all() for labels in watched)
    right = fit_out_of_fold(own, pixels, cells, cells.labels, parts, 0, noted)
    assert fitted.history[0]["val_auc"] < right.history[0]["val_auc"]


def test_some_of_the_cells_keep_rows_labels_and_subjects_together():
    a = Cells(np.array([4, 2, 9]), np.array([1, 0, 1]), np.array(["x", "y", "z"]))
    some = a[np.array([True, False, True])]
    assert some.rows.tolist() == [4, 9]
    assert some.labels.tolist() == [1, 1]
    assert some.subjects.tolist() == ["x", "z"]
    assert Cells(np.array([9]), np.array([1]))[np.array([0])].subjects is None


def one_step(optimizer, names=("slow", "fast")) -> list[np.ndarray]:
    """Two variables of ones after a step along a gradient of halves."""
    values = [keras.Variable(np.ones(3, "float32"), name=name) for name in names]
    optimizer.build(values)
    optimizer.apply([keras.ops.full((3,), 0.5) for _ in values], values)
    return [keras.ops.convert_to_numpy(value) for value in values]


def test_a_share_of_the_rate_slows_step_and_decay_of_the_named_variables_alone():
    # Adam's first step is the rate itself; decay takes rate * .1 of a value of 1 before it.
    slow, fast = one_step(LayerwiseAdamW(0.01, 0.1, 0.25, ["slow"]))
    np.testing.assert_allclose(fast, 1 - 0.01 * 0.1 - 0.01, rtol=1e-6)
    np.testing.assert_allclose(slow, 1 - 0.0025 * 0.1 - 0.0025, rtol=1e-6)


def test_with_a_share_of_one_it_is_adamw():
    """Several steps along gradients that turn, under a schedule and clipped together."""
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in ((3,), (2, 4))]
    gradients = [[rng.normal(size=v.shape).astype("float32") for v in start] for _ in range(5)]
    found = []
    for kind in (LayerwiseAdamW, keras.optimizers.AdamW):
        optimizer = kind(OneCycle(0.05, 5), weight_decay=0.1, global_clipnorm=1.0)
        values = [keras.Variable(value) for value in start]
        optimizer.build(values)
        for step in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in step], values)
        found.append(np.concatenate([np.ravel(value) for value in values]))
    np.testing.assert_allclose(*found, rtol=1e-5)
    moved = np.abs(found[0] - np.concatenate([np.ravel(v) for v in start]))
    assert moved.min() > 1e-3


def test_fused_steps_are_those_of_keras_own_layers_and_optimizer(data, monkeypatch):
    """Losses and moving averages of the first steps, with dropout and augmentation as they are."""

    def some_steps() -> list[np.ndarray]:
        own = settings(augmentation={"policy": "comprehensive", "target": "all"})
        model = compiled.prepare(own, 5)
        model.schedule.assign(1e-3, 10)
        given = TrainingBatches(
            data[0], data[1].rows, data[1].labels, batch=16, sampling="balanced",
            augmentation=own.augmentation, seed=5,
        )  # fmt: skip
        losses = []
        for number in range(3):
            model.trainer.reset_metrics()
            losses.append(model.trainer.train_on_batch(*given[number])[0])
        averages = [v for v in model.classifier.variables if "moving" in v.path]
        return [np.array(losses), *(np.array(v) for v in averages)]

    found = some_steps()
    compiled._KEPT.clear()
    monkeypatch.setattr(classifier, "with_fused_layers", lambda model: model)
    monkeypatch.setattr(
        compiled,
        "LayerwiseAdamW",
        lambda schedule, decay, _, __, global_clipnorm: keras.optimizers.AdamW(
            schedule, decay, global_clipnorm=global_clipnorm
        ),
    )
    expected = some_steps()
    compiled._KEPT.clear()
    assert len(found) == len(expected) == 1 + 2 * 6
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4)


def test_backbone_rate_slows_the_backbone_and_leaves_the_rest(data):
    pixels, train, validation = data
    start = compiled.prepare(settings(), 0).classifier
    before = {v.path: np.array(v) for v in start.trainable_variables}
    moved = {}
    for rate in (1.0, 0.01):
        recipe = {"epochs": 1, "batch": 16, "steps_per_epoch": 1, "backbone_rate": rate}
        recipe |= {"schedule": "constant", "weight_decay": 0.0}
        fitted = fit(settings(training=recipe), pixels, train, validation, 0, best_weighted_f1)
        moved[rate] = {
            v.path: np.abs(np.array(v) - before[v.path]).max()
            for v in fitted.classifier.trainable_variables
        }
    slow = backbone_paths(fitted.classifier)
    assert {path.split("/")[0] for path in before if path not in slow} == {
        "attention", "fc_1", "fc_1_norm", "fc_2", "fc_2_norm", "logits",
    }  # fmt: skip
    for path, whole in moved[1.0].items():
        share = 0.01 if path in slow else 1.0
        assert moved[0.01][path] == pytest.approx(share * whole, rel=0.02, abs=1e-7)
    assert max(moved[1.0][path] for path in slow & set(before)) > 9e-4


def test_order_follows_from_seed_and_epoch():
    labels = np.array([1] * 24 + [0] * 8)
    first, second = batches(labels), batches(labels)
    assert np.array_equal(drawn(first), drawn(second))
    second.start_epoch(1)
    assert not np.array_equal(drawn(first), drawn(second))
    second.start_epoch(0)
    assert np.array_equal(drawn(first), drawn(second))
    assert not np.array_equal(drawn(first), drawn(batches(labels, seed=1)))


@pytest.mark.parametrize(
    "policy, target, flagged", [("none", "all", 0), ("paper", "all", 48), ("paper", "minority", 24)]
)
def test_flags_say_which_images_are_augmented(policy, target, flagged):
    labels = np.array([1] * 24 + [0] * 8)
    some = batches(labels, augmentation=Augmentation(policy=policy, target=target))
    flags = np.concatenate([some[i][0][1] for i in range(len(some))])
    targets = np.concatenate([some[i][1] for i in range(len(some))])
    assert flags.sum() == flagged
    if target == "minority":
        assert np.array_equal(flags, targets[:, 0])


def test_imgaug_engine_changes_flagged_images_and_no_others():
    rng = np.random.default_rng(0)
    pixels = rng.integers(50, 200, (32, 16, 16, 3), np.uint8)
    labels = np.array([1] * 24 + [0] * 8)
    some = TrainingBatches(
        pixels, np.arange(32), labels, batch=48, sampling="balanced", seed=0,
        augmentation=Augmentation(policy="paper", target="minority", engine="imgaug"),
    )  # fmt: skip
    (images, flags), targets = some[0]
    assert flags.sum() == 0
    known = {image.tobytes() for image in pixels}
    as_they_are = np.array([image.astype(np.uint8).tobytes() in known for image in images])
    assert as_they_are[targets[:, 1] == 1].all()
    assert not as_they_are[targets[:, 0] == 1].any()
    # A repeated cell is another draw each time.
    hem = images[targets[:, 0] == 1]
    assert len({image.tobytes() for image in hem}) > 8


def test_training_learns_repeats_exactly_and_reuses_its_model(data):
    pixels, train, validation = data
    first = fit(settings(), pixels, train, validation, 0, best_weighted_f1)
    scores = predict_scores(first.logits, pixels, validation.rows)
    assert best_weighted_f1(validation.labels, scores) > 0.95
    other = fit(settings(), pixels, train, validation, 1, best_weighted_f1)
    assert not np.array_equal(predict_scores(other.logits, pixels, validation.rows), scores)
    again = fit(settings(), pixels, train, validation, 0, best_weighted_f1)
    assert np.array_equal(predict_scores(again.logits, pixels, validation.rows), scores)
    assert again.classifier is first.classifier
    assert again.history == first.history
    assert np.array_equal(first.validation_scores, scores)
    assert len(first.epoch_seconds) == len(first.history) == 3


def test_the_last_epoch_is_kept_where_settings_say_so(data):
    pixels, train, validation = data
    recipe = {"epochs": 3, "batch": 16, "steps_per_epoch": 3}
    best = fit(settings(training=recipe), pixels, train, validation, 0, scripted(0.9, 0.5, 0.5))
    own = settings(training=recipe | {"selection": "last"})
    last = fit(own, pixels, train, validation, 0, scripted(0.9, 0.5, 0.5))
    assert (best.best_epoch, last.best_epoch) == (1, 3)
    assert last.history == best.history
    assert not np.array_equal(last.validation_scores, best.validation_scores)


def test_settings_that_are_not_used_leave_keys_as_they_were():
    assert "selection" not in settings().relevant()["training"]
    other = settings(training=SETTINGS["training"] | {"inner": 5})
    assert other.relevant() == settings().relevant()
    assert other.refitted().relevant()["training"]["inner"] == 5
    changed = settings(training={"epochs": 1, "batch": 16, "selection": "last"})
    assert changed.relevant()["training"]["selection"] == "last"


def test_best_epoch_is_kept_and_patience_ends_training(data):
    pixels, train, validation = data
    values = iter([0.5, 0.9, 0.6, 0.9, 0.7, 0.7])
    kept = []

    def watched(labels, scores):
        kept.append(scores)
        return next(values)

    recipe = {"epochs": 20, "batch": 16, "patience": 3}
    fitted = fit(settings(training=recipe), pixels, train, validation, 0, watched)
    assert len(fitted.history) == 5  # best at 2, then three epochs without progress
    losses = [row["val_loss"] for row in fitted.history]
    best = 2 if losses[1] <= losses[3] else 4  # equal F1: the lower validation loss
    assert fitted.best_epoch == best
    scores = predict_scores(fitted.logits, pixels, validation.rows)
    np.testing.assert_array_equal(scores, kept[best - 1])


def test_one_step_an_epoch_can_be_asked_for(data):
    pixels, train, validation = data
    recipe = {"epochs": 1, "batch": 16, "steps_per_epoch": 1}
    fit(settings(training=recipe), pixels, train, validation, 0, best_weighted_f1)
    model = compiled.prepare(settings(training=recipe), 0)
    assert int(model.trainer.optimizer.iterations) == 0
    fit(settings(training=recipe), pixels, train, validation, 0, best_weighted_f1)
    assert int(model.trainer.optimizer.iterations) == 1


def test_a_loss_that_is_no_number_is_named(data, monkeypatch):
    pixels, train, validation = data
    broken = compiled.prepare(settings(), 0).trainer
    result = type("History", (), {"history": {"loss": [float("nan")], "f1": [0.0]}})
    monkeypatch.setattr(type(broken), "fit", lambda *args, **kwargs: result)
    with pytest.raises(DataError, match="loss became nan in epoch 1"):
        fit(settings(), pixels, train, validation, 0, best_weighted_f1)


def test_a_validation_loss_that_is_no_number_is_named(data, monkeypatch):
    pixels, train, validation = data
    monkeypatch.setattr(training, "predict", lambda *args: np.full((48, 2), np.nan, "float32"))
    with pytest.raises(DataError, match="validation loss became nan in epoch 1"):
        fit(settings(), pixels, train, validation, 0, best_weighted_f1)


def test_scores_that_are_no_numbers_are_named(data):
    pixels, _, validation = data
    model = compiled.prepare(settings(), 0)
    bias = model.logits.get_layer("logits").bias
    bias.assign([np.nan, 0.0])
    with pytest.raises(DataError, match="48 of 48 cells have a score that is not finite"):
        predict_scores(model.logits, pixels, validation.rows)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        type("ResourceExhaustedError", (Exception,), {})("OOM when allocating"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes."),
    ],
)
def test_want_of_memory_says_what_to_lower_and_lets_go_of_models(data, monkeypatch, error):
    pixels, train, validation = data

    def full(*args):
        raise error

    monkeypatch.setattr(training, "train_epoch", full)
    with pytest.raises(DataError, match=r"batches of 16; lower training.batch or pixels.size"):
        fit(settings(), pixels, train, validation, 0, best_weighted_f1)
    assert not compiled._KEPT


def test_other_errors_pass_as_they_are(data, monkeypatch):
    pixels, train, validation = data

    def broken(*args):
        raise KeyError("watch")

    monkeypatch.setattr(training, "train_epoch", broken)
    with pytest.raises(KeyError, match="watch"):
        fit(settings(), pixels, train, validation, 0, best_weighted_f1)


def test_cross_entropy_is_plain_and_focal_has_its_settings():
    plain = compiled.prepare(settings(loss={"name": "cross_entropy"}), 0).loss.get_config()
    assert (plain["gamma"], plain["alpha"]) == (0.0, [1.0, 1.0])
    focal = compiled.prepare(settings(loss={"gamma": 1.5}), 0).loss.get_config()
    assert (focal["gamma"], focal["alpha"]) == (1.5, [0.75, 0.25])
