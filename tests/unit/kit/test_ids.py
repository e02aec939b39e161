from kargah.kit.ids import looks_like_id, new_id


def test_ids_sort_by_birth_even_within_a_millisecond() -> None:
    made = [new_id("job") for _ in range(5000)]
    assert made == sorted(set(made))


def test_ids_are_uuid_version_7() -> None:
    body = new_id("job").removeprefix("job_")
    assert len(body) == 32
    assert body[12] == "7"
    assert body[16] in "89ab"


def test_only_ids_look_like_ids() -> None:
    assert looks_like_id(new_id("mv"))
    assert not looks_like_id("job_x")
    assert not looks_like_id("../job_0190")
