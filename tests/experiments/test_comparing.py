"""A metric of a comparison, and its range over seeds or folds."""

from experiments.shared.comparing import spread, with_range, without_ranges


def test_a_metric_has_a_range_where_there_are_several_values():
    values = [0.5, 0.25, 1.0]
    assert spread(values) == (0.5, 0.25, 1.0)
    assert with_range("error", 0.6, values) == {"error": 0.6, "error_lowest": 0.25, "error_highest": 1.0}
    assert with_range("error", 0.6, [0.6]) == {"error": 0.6}


def test_the_ends_of_a_range_are_no_metrics_to_lead_with():
    metrics = with_range("error", 0.5, [0.25, 1.0]) | {"seconds": 3.0}
    assert without_ranges(metrics) == ["error", "seconds"]
