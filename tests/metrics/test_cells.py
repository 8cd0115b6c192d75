from medseg.metrics.cells import cell


def test_a_score_that_is_not_there_is_a_dash():
    assert [cell(0.12345), cell(-0.5, "+.2f"), cell(None), cell(None, ".3g")] == [
        "0.1235",
        "-0.50",
        "–",
        "–",
    ]
