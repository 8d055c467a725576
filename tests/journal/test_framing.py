from hypothesis import example, given
from hypothesis import strategies as st

from hub.journal.framing import MARK, frame, unstuffed
from hub.journal.segments import SegmentReader
from tests.simulation.files import Inode, SimulatedFile, SimulatedFiles

pieces = st.one_of(
    st.binary(max_size=40), st.sampled_from([MARK, MARK[:2], MARK[2:], MARK + b"1", MARK + b"\0", b"\0"])
)
payloads = st.lists(pieces, max_size=8).map(b"".join)


def file_of(content: bytes) -> SimulatedFile:
    return SimulatedFile(SimulatedFiles(), Inode(bytearray(content), len(content)))


@given(payloads)
@example(MARK * 3)
@example(MARK + b"\0")
def test_no_stored_payload_contains_the_mark_and_all_come_back(payload: bytes) -> None:
    header, stored = frame(7, payload)
    assert MARK not in stored
    assert unstuffed(header[:4], stored) == payload


@given(st.lists(payloads, max_size=12), st.integers(4096, 5000))
def test_records_are_read_as_they_were_appended(records: list[bytes], window: int) -> None:
    content = b"".join(b"".join(frame(lsn, payload)) for lsn, payload in enumerate(records, start=5))
    reader = SegmentReader(file_of(content), 5)
    found = []
    while chunk := reader.read(window):
        found += chunk
    reader.finish()
    assert found == list(enumerate(records, start=5))
    assert reader.damage == []
    assert reader.intact_end == len(content)


def test_a_record_inside_a_payload_is_never_taken_for_one() -> None:
    inner = b"".join(frame(2, b"forged"))
    outer = b"".join(frame(1, b"x" * 10 + inner + b"y" * 10))
    after = b"".join(frame(3, b"true"))
    for at in range(len(outer)):
        content = bytearray(outer + after)
        content[at] ^= 0x40
        reader = SegmentReader(file_of(bytes(content)), 1)
        assert reader.read() == [(3, b"true")], at


def test_a_record_longer_than_the_window_is_read() -> None:
    content = b"".join(frame(1, b"a" * 100_000)) + b"".join(frame(2, b"b"))
    reader = SegmentReader(file_of(content), 1)
    assert [lsn for lsn, _ in reader.read(4096)] == [1]
    assert reader.read(4096) == [(2, b"b")]
    assert reader.read(4096) == []


def test_what_the_disk_does_not_give_costs_its_block_only() -> None:
    files = SimulatedFiles()
    content = b"".join(b"".join(frame(lsn, b"z" * 1000)) for lsn in range(1, 21))
    inode = Inode(bytearray(content), len(content))

    class BadSector(SimulatedFile):
        def read(self, offset: int, size: int) -> bytes:
            if offset < 8500 < offset + size:
                raise OSError(5, "input/output error")
            return super().read(offset, size)

    reader = SegmentReader(BadSector(files, inode), 1)
    found = []
    while chunk := reader.read():
        found += [lsn for lsn, _ in chunk]
    missing = set(range(1, 21)) - set(found)
    assert missing == {9, 10, 11, 12, 13}  # bytes 8192 to 12288
    (damage,) = reader.damage
    assert (damage.first_lsn, damage.last_lsn) == (9, 13)
