from concurrent.futures import ThreadPoolExecutor

import pytest

from medseg.errors import InputError
from medseg.stages.device_file import DeviceFile, amend, read, write

VALUES = {
    "device": "a CPU",
    "batch_size": 2,
    "patch_size": [8, 8, 8],
    "accumulate": 1,
    "workers": None,
    "precision": "32",
    "compile": None,
    "channels_last": None,
}


def test_what_is_amended_side_by_side_stays(tmp_path):
    path = tmp_path / "device.yaml"
    keys = ("workers", "compile", "channels_last")
    for value in range(8):
        write(path, DeviceFile(VALUES))
        with ThreadPoolExecutor(len(keys)) as threads:
            list(threads.map(lambda key, value=value: amend(path, {key: value}, {}), keys))
        assert {key: read(path).values[key] for key in keys} == dict.fromkeys(keys, value)


@pytest.mark.parametrize("content", ["junk", "[1]", "measured: 3", "training: 3\nmeasured: {}"])
def test_a_damaged_file_is_named_with_its_remedy(tmp_path, content):
    path = tmp_path / "device.yaml"
    write(path, DeviceFile(VALUES))
    key = content.partition(":")[0]
    lines = path.read_text().splitlines()
    kept = [line for line in lines if ":" in content and not line.startswith((key, "  "))]
    path.write_text("\n".join([*kept, content]))
    with pytest.raises(InputError, match="does not say what the device takes") as error:
        read(path)
    assert "measure anew" in str(error.value)
