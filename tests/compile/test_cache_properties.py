"""However an entry of the cache of compiled programs is damaged or swapped: it counts as missing."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brim.compile import cache
from properties import FEW

KEYS = st.text("0123456789abcdef", min_size=4, max_size=8)


def test_only_what_was_written_for_a_key_comes_back(tmp_path):
    @FEW
    @given(KEYS, KEYS, st.binary(max_size=200), st.floats(0, 1), st.integers(1, 255), st.booleans())
    def holds(key, other, content, at, bits, cut):
        path = tmp_path / "entry.xla"
        sealed = cache._sealed(key, content)
        path.write_bytes(sealed)
        path.chmod(0o600)
        assert cache._content(path, key) == content
        place = int(at * (len(sealed) - 1))
        harmed = sealed[:place] if cut else sealed[:place] + bytes([sealed[place] ^ bits]) + sealed[place + 1 :]
        for blob, asked in ((harmed, key), *([(sealed, other)] if other != key else [])):
            path.write_bytes(blob)
            path.chmod(0o600)
            with pytest.raises(FileNotFoundError):
                cache._content(path, asked)
            assert not path.exists()  # dropped, to be compiled again
            assert cache._load(tmp_path, "entry") is None

    holds()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_entries_and_folders_that_others_can_write_are_not_used(tmp_path, mode):
    path = tmp_path / "entry.xla"
    path.write_bytes(cache._sealed("entry", b"content"))
    path.chmod(mode)
    with pytest.raises(FileNotFoundError):
        cache._content(path, "entry")
    os.chmod(tmp_path, mode | 0o100)
    cache._tell_untrusted.cache_clear()
    with pytest.warns(UserWarning, match="other users can write there"):
        trusted = cache._trusted(tmp_path)
    os.chmod(tmp_path, 0o700)
    assert not trusted


def test_links_are_not_followed(tmp_path):
    (tmp_path / "real").write_bytes(cache._sealed("entry", b"content"))
    (tmp_path / "entry.xla").symlink_to(tmp_path / "real")
    with pytest.raises(OSError):
        cache._content(tmp_path / "entry.xla", "entry")
    assert cache._load(tmp_path, "entry") is None
