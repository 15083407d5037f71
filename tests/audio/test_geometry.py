import dataclasses
import json
import subprocess
import sys

import pytest

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.errors import UserError


def test_the_default_is_25_ms_every_10_and_an_encoder_frame_every_40():
    config = FrontEndConfig()
    rate = config.sample_rate
    assert (config.window / rate, config.hop / rate, config.block / rate) == (0.025, 0.01, 0.04)


def test_a_block_is_the_samples_of_an_encoder_frame():
    assert FrontEndConfig(window=200, hop=80, stack=3).block == 240


@pytest.mark.parametrize("window", [201, 300])
def test_windows_of_more_than_two_hops_up_to_three(window):
    assert FrontEndConfig(window=window, hop=100).window == window


@pytest.mark.parametrize("window", [200, 301, 0])
def test_other_windows_are_refused(window):
    message = rf"longer than 2 hops and at most 3. Received: window={window}, hop=100"
    with pytest.raises(UserError, match=message):
        FrontEndConfig(window=window, hop=100)


@pytest.mark.parametrize(
    ("field", "value"),
    [("sample_rate", 0), ("mel_bins", 0), ("hop", 0), ("stack", 0), ("remove_dc_offset", 1)],
)
def test_other_values_are_refused(field, value):
    with pytest.raises(UserError, match=rf"`{field}` must .*Received: {field}={value}"):
        FrontEndConfig(**{field: value})


def test_configs_of_before_an_offset_was_removed_keep_it():
    config = FrontEndConfig(mel_bins=20)
    fields = dataclasses.asdict(config)
    assert FrontEndConfig.from_config(fields) == config
    del fields["remove_dc_offset"]
    assert FrontEndConfig.from_config(fields) == dataclasses.replace(config, remove_dc_offset=False)


def test_it_is_known_without_tensorflow():
    program = """
import json, sys
from int4_conformer.audio.geometry import FrontEndConfig
print(json.dumps([FrontEndConfig().block, "tensorflow" in sys.modules]))
"""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(output.stdout) == [640, False]
