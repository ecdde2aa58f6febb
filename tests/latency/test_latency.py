from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import ssh_server
from fake_progress import Acting
from ssh_server import host_of

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.latency import grid as planning
from edgeroberta.latency import measurement, probes
from edgeroberta.latency.calltimes import CallTimes
from edgeroberta.latency.grid import ProbePlan, ProbePrecision
from edgeroberta.latency.interpolation import interpolate, monotone_fit
from edgeroberta.latency.measurement import measure, timings_from
from edgeroberta.latency.over_ssh import timer_on
from edgeroberta.latency.probe_timing import ProbeTimings
from edgeroberta.latency.regression import fit, overhead
from edgeroberta.latency.request import LatencyRequest, request_for
from edgeroberta.latency.table import LatencyTable
from edgeroberta.progress import Progress
from edgeroberta.remote import hosts as known_hosts
from edgeroberta.remote.retrying import RetryPolicy
from edgeroberta.report import latency as report
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.storage import codedigest

FULL = EncoderShape(1000, 384, 32, 514, 1, 2, (LayerShape(12, 1536),) * 6)


def plan_of(engine: str = "onnxruntime", longest: int = 100) -> ProbePlan:
    return planning.plan(FULL, activation="gelu", engine=engine, threads=1, longest=longest)


def cost(layers: tuple[LayerShape, ...], length: int) -> float:
    """An additive engine: what it takes is a sum over layers, and a product within one."""
    *middle, last = layers
    times = [length * (7 + each.heads * (3 + each.intermediate / 100)) for each in middle]
    return 1e-6 * (100 + length + sum(times) + length * last.heads + last.intermediate / 10)


def timings_of(plan: ProbePlan, **changes: Any) -> ProbeTimings:
    min_of_medians = {
        probe.name: tuple(cost(probe.layers, length) for length in plan.lengths) for probe in plan.probes
    }
    tokens = (4, 8, 32)
    given = ProbeTimings(
        "1.0", "a board", min_of_medians, (1.0,) * 100, tokens, tuple(1e-6 * (5 + t) for t in tokens), False
    )
    return replace(given, **changes)


def test_another_version_of_the_package_measures_anew(monkeypatch):
    before = measurement.table_file(plan_of(), "cpu", "a board")
    assert measurement.table_file(plan_of(), "cpu", "a board") == before
    monkeypatch.setattr(codedigest, "of", lambda *_: "fixed")
    assert measurement.table_file(plan_of(), "cpu", "a board") != before


def test_predictions_are_exact_for_an_engine_whose_times_add_up():
    table = fit(plan_of(), timings_of(plan_of()))
    shape = replace(FULL, layers=(LayerShape(8, 768), LayerShape(4, 1536), LayerShape(12, 768)))
    lengths = [4, 8, 20, 64, 100]
    wanted = [cost(shape.layers, length) + 1e-6 * (5 + length) for length in lengths]
    assert table.times(shape, lengths) == pytest.approx(wanted)
    found = table.predict(shape, lengths)
    percentiles = np.percentile(np.repeat(wanted, 100), (50, 95, 99))
    assert (found.p50, found.p95, found.p99) == pytest.approx(percentiles)
    parts = table.fixed(20) + table.layer(shape.layers[0], 20) + table.layer(shape.layers[1], 20)
    assert parts + table.layer(shape.layers[2], 20, last=True) == pytest.approx(wanted[2])
    assert table.baseline(lengths).mean == pytest.approx(table.predict(FULL, lengths).mean)
    assert table.speedup(shape, lengths) == pytest.approx(table.predict(FULL, lengths).p50 / found.p50)


def test_the_noise_of_the_device_moves_the_95th_percentile():
    noise = (1.0,) * 90 + (2.0,) * 10
    min_of_medians, noisy = (
        fit(plan_of(), timings_of(plan_of(), noise=each)) for each in ((1.0,) * 100, noise)
    )
    first, second = (table.predict(FULL, [20]) for table in (min_of_medians, noisy))
    assert (second.p50, second.p95) == pytest.approx((first.p50, 2 * first.p95))


def test_a_cascade_takes_as_long_as_both_where_a_text_is_escalated():
    """Which a fifth of the texts are: the median is the first model's, and the tail that of both."""
    table = fit(plan_of(), timings_of(plan_of()))
    first = replace(FULL, layers=FULL.layers[:2])
    found = table.predict_cascade(first, [20], 0.2)
    quick, whole = table.times(first, [20])[0], table.baseline([20], small=True).p50
    both = quick + whole - table.overhead.call - 20 * table.overhead.token
    assert found == CallTimes(
        *(pytest.approx(each) for each in (quick + 0.2 * (both - quick), quick, both, both))
    )
    assert table.predict_cascade(first, [20], 0.02).p95 == pytest.approx(quick)
    assert table.predict_cascade(first, [20], 0.0).p99 == pytest.approx(quick)


def test_noise_cannot_make_a_smaller_layer_look_slower():
    plan, rng = plan_of(), np.random.default_rng(0)
    timings = timings_of(plan)
    rough = {
        name: tuple(np.array(row) * rng.uniform(0.5, 2, len(row)))
        for name, row in timings.min_of_medians.items()
    }
    table = fit(plan, replace(timings, min_of_medians=rough))
    for cells in (table.middle, table.last):
        for axis in range(3):
            assert np.all(np.diff(np.array(cells), axis=axis) >= -1e-12)
    assert np.all(np.diff(table.least) >= -1e-12)


def test_an_engine_that_pads_is_predicted_at_its_prepared_lengths():
    plan = plan_of("openvino")
    assert plan.lengths[0] == 16
    table = fit(plan, timings_of(plan, pads=True))
    engine = table.times(FULL, [20] * 99 + [17]) - table.overhead.at(np.array([20.0] * 99 + [17]))
    assert engine == pytest.approx(np.full(100, cost(FULL.layers, 32)))


def test_a_table_says_what_it_was_not_measured_for():
    table = fit(plan_of(), timings_of(plan_of()))
    with pytest.raises(UsageError, match="200 tokens, where the table ends at 128"):
        table.predict(FULL, [200])
    with pytest.raises(UsageError, match="ends at 12 heads and 1536 FFN neurons"):
        table.layer(LayerShape(13, 10), 8)
    with pytest.raises(UsageError, match="models with 384 hidden and heads of 32, not 384 and 64"):
        table.predict(replace(FULL, head_size=64), [8])
    with pytest.raises(UsageError, match="no lengths"):
        table.predict(FULL, [])
    with pytest.raises(UsageError, match="600 tokens, where the model takes 512"):
        plan_of(longest=600)


def test_a_table_of_another_head_is_refused():
    table = fit(plan_of(), timings_of(plan_of()))
    with pytest.raises(
        UsageError, match="of models for sequence classification, not for token classification"
    ):
        table.predict(replace(FULL, head="token-classification"), [8])


def test_a_table_survives_its_file_and_another_file_is_refused(tmp_path):
    table, file = fit(plan_of(), timings_of(plan_of())), tmp_path / "deep" / "table.json"
    table.save(file)
    assert LatencyTable.load(file) == table
    fields = json.loads(file.read_text())
    file.write_text(json.dumps({**fields, "schema_version": 9}))
    with pytest.raises(EdgeRobertaError, match="schema 9, this version reads 1"):
        LatencyTable.load(file)
    file.write_text(json.dumps({**fields, "kind": "x"}))
    with pytest.raises(EdgeRobertaError, match="not a latency table"):
        LatencyTable.load(file)


def test_interpolation_is_linear_and_flat_before_the_first_point():
    values = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert interpolate((4, 8), values, 6) == pytest.approx([2, 4])
    assert interpolate((4, 8), values, 2) == pytest.approx([1, 2])
    assert interpolate((4,), values[:1], 4) == pytest.approx([1, 2])


def test_values_that_fall_are_averaged():
    assert monotone_fit(np.array([1.0, 3.0, 2.0, 4.0])) == pytest.approx([1, 2.5, 2.5, 4])
    assert monotone_fit(np.array([3.0, 2.0, 1.0])) == pytest.approx([2, 2, 2])


def test_overhead_is_a_line_that_never_falls():
    found = overhead((10, 20), (2.0, 3.0))
    assert (found.call, found.token) == pytest.approx((1.0, 0.1))
    assert overhead((10, 20), (3.0, 2.0)).token == 0
    assert overhead((10, 10), (3.0, 2.0)).call == 2.5


def test_times_of_another_machine_are_checked():
    plan = plan_of()
    good = json.loads(json.dumps(asdict(timings_of(plan))))
    assert timings_from(good, plan, where="kitchen") == timings_of(plan)
    first = plan.probes[0].name
    for bad in (
        [],
        {**good, "kind": "x"},
        {**good, "min_of_medians": {first: good["min_of_medians"][first]}},
        {**good, "min_of_medians": {**good["min_of_medians"], first: [-1.0] * len(plan.lengths)}},
        {**good, "noise": [1.0]},
        {**good, "tokens": []},
    ):
        with pytest.raises(EdgeRobertaError) as caught:
            timings_from(bad, plan, where="kitchen")
        assert (caught.value.code, caught.value.where) == ("failed.malformed", "kitchen")


@pytest.fixture
def request_of_tiny(tiny_checkpoint) -> LatencyRequest:
    found = request_for(tiny_checkpoint, None, target="cpu", engine="onnxruntime", rounds=1)
    return replace(found, inputs=["a fine film", "dull", "not a film that anyone needs to see twice"])


def test_a_tiny_model_is_measured_once_and_its_table_found_again(request_of_tiny, monkeypatch):
    table = measure(request_of_tiny, progress=Progress())
    assert table.engine == "onnxruntime"
    assert 0 < table.predict(table.shape, [8]).p50 < 0.1
    assert 0 < table.baseline([8]).p50 < 0.1
    assert "baseline, float" in report.text(table)
    monkeypatch.setattr(measurement, "time_here", lambda *_: pytest.fail("it was measured again"))
    assert measure(request_of_tiny, progress=Progress()) == table


def test_the_probes_of_a_model_that_labels_tokens_end_in_its_head(tiny_token_checkpoint, tmp_path):
    import onnx

    request = request_for(tiny_token_checkpoint, None, target="cpu", engine="onnxruntime", rounds=1)
    plan = measurement.plan_for(request)
    assert plan.shape.head == "token-classification"
    probes.write(plan, tmp_path, targets_tensorrt=False, progress=Progress())
    for probe in (plan.shallow(plan.heads[-1], plan.widths[-1]), plan.whole(ProbePrecision.FLOAT)):
        graph = onnx.load(tmp_path / probe.name / "model.onnx").graph
        assert [each.dim_param or each.dim_value for each in graph.output[0].type.tensor_type.shape.dim] == [
            "batch", "length", 5,
        ]  # fmt: skip
        names = {node.name for node in graph.node}
        # The last layer is computed in full, since the head reads every token.
        assert f"layer.{len(probe.layers) - 1}.attention.qkv.matmul" in names
    table = measure(replace(request, inputs=["a fine film", "dull"]), progress=Progress())
    assert 0 < table.predict(table.shape, [8]).p50 < 0.1


def test_a_table_of_before_heads_is_one_of_a_classifier(tmp_path):
    table = fit(plan_of(), timings_of(plan_of()))
    fields = json.loads(json.dumps(table.to_json()))
    del fields["shape"]["head"]
    (tmp_path / "table.json").write_text(json.dumps(fields))
    assert LatencyTable.load(tmp_path / "table.json") == table


def test_a_device_times_the_probes_that_are_sent_to_it(request_of_tiny, tmp_path, monkeypatch):
    if not ssh_server.available():
        pytest.skip("there is no ssh client on this machine")
    with ssh_server.serve(tmp_path / "device") as device:
        monkeypatch.setattr(known_hosts, "find", lambda names: [host_of(device, "kitchen")])
        lines = Acting("latency: started", device.drop)
        timer = timer_on("kitchen", retry=RetryPolicy((0.1,) * 5))
        table = measure(request_of_tiny, progress=lines, timer=timer, where="kitchen")
        assert any("connection lost" in line for line in lines.lines)
        assert not list((device.root / "jobs").iterdir())
    assert table.predict(table.shape, [8]).p50 > 0


def test_an_engine_that_fails_says_why(request_of_tiny, monkeypatch):
    monkeypatch.setattr(measurement, "write_folder", lambda *_, **others: None)
    with pytest.raises(EdgeRobertaError, match=r"model\.onnx"):
        measure(request_of_tiny, progress=Progress())
