from recbole_sigma.errors import close_matches


def test_close_matches_ignore_case_and_keep_the_spelling():
    assert close_matches("sasrec", ["SASRec", "BPR"]) == ["SASRec"]
    assert close_matches("zzz", ["SASRec", "BPR"]) == []
    assert close_matches("sasrec", ["SASRec", "SASRecF", "BPR"], 2) == ["SASRec", "SASRecF"]
    assert close_matches(3, ["SASRec"]) == []
