"""The Python module against the library: round trips, restarts, errors. Run by python.rs beside this file."""

import os
import subprocess
import sys
import tempfile
import unittest

import dcspool

try:
    import numpy
except ImportError:
    numpy = None


def python(script, spool, status=0, **variables):
    """Runs a script in a process of its own: the library has one kernel a process."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DC_") or name == "DC_LIB"}
    env.update(variables, DC_SPOOL=spool)
    done = subprocess.run([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout.split()


class WithSpool(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.spool = os.path.join(self.place.name, "spool")

    def payload(self, length):
        """The last bytes of the only result."""
        directory = os.path.join(self.spool, "result")
        (name,) = os.listdir(directory)
        with open(os.path.join(directory, name), "rb") as file:
            return file.read()[-length:]


class Restarts(WithSpool):
    KERNEL = """
import array, ctypes, dcspool, os
field, raw, one = array.array("d", [0] * 50), bytearray(7), ctypes.c_int64(0)
state = {1: field, 2: raw, 9: one}
step = dcspool.restore(state)
print(step, field[49], raw[6], one.value, flush=True)
step = step or 0
while step < 30:
    step += 1
    for i in range(50):
        field[i] += i / 3
    raw[6] = step
    one.value = -step
    dcspool.checkpoint(step, state)
    if step == STOP:
        os.kill(os.getpid(), 9)
dcspool.result(field)
"""

    def test_a_killed_kernel_goes_on_where_it_was(self):
        calm = os.path.join(self.place.name, "calm")
        python(self.KERNEL.replace("STOP", "0"), calm)
        first = python(self.KERNEL.replace("STOP", "7"), self.spool, -9)
        self.assertEqual(first, ["None", "0.0", "0", "0"])
        python(self.KERNEL.replace("STOP", "12"), self.spool, -9)
        last = python(self.KERNEL.replace("STOP", "0"), self.spool)
        expected = 0.0
        for _ in range(12):
            expected += 49 / 3
        self.assertEqual(last, ["12", repr(expected), "12", "-12"])
        rough = self.payload(400)
        self.spool = calm
        self.assertEqual(rough, self.payload(400))

    def test_other_regions_are_a_mismatch_and_change_nothing(self):
        python("import dcspool; dcspool.checkpoint(5, [(1, b'abcd'), (2, bytes())])", self.spool)
        script = """
import dcspool
for regions in ({1: bytearray(4)}, {1: bytearray(5), 2: bytearray()}, {1: bytearray(4), 3: bytearray()}):
    try:
        dcspool.restore(regions)
    except dcspool.MismatchError as error:
        assert error.code == -5 and str(error), error
    else:
        raise AssertionError(regions)
    assert not any(regions[1])
out = bytearray(4)
assert dcspool.restore({2: bytearray(), 1: out}) == 5 and out == b"abcd", out
"""
        python(script, self.spool)

    def test_a_damaged_checkpoint_is_never_a_fresh_start(self):
        python("import dcspool; dcspool.checkpoint(5, {1: b'abcd' * 500})", self.spool)
        directory = os.path.join(self.spool, "ckpt", "00000000")
        (name,) = os.listdir(directory)
        with open(os.path.join(directory, name), "r+b") as file:
            file.seek(-1, 2)
            file.write(b"x")
        script = """
import dcspool
try:
    dcspool.restore({1: bytearray(2000)})
except dcspool.CorruptError as error:
    print("told")
"""
        self.assertEqual(python(script, self.spool), ["told"])


class Results(WithSpool):
    def test_every_type_of_every_kind_of_buffer(self):
        script = """
import array, dcspool
for code in "bBhHiIlLqQfd":
    dcspool.result(array.array(code, [1, 2, 3]))
    dcspool.result(memoryview(array.array(code, [1, 2, 3])), layout="effective")
dcspool.result(b"any bytes")
dcspool.result(bytes(16), dtype="f8")
dcspool.result([1.5, 2.5, 3], dtype="f4", values_per_cell=3)
dcspool.result((-1, 127), dtype="i1")
"""
        python(script, self.spool)
        self.assertEqual(self.payload(2), b"\xff\x7f")

    def test_what_cannot_be_a_result_is_told(self):
        script = """
import array, dcspool
def told(words, *args, **more):
    try:
        dcspool.result(*args, **more)
    except dcspool.InvalidError as error:
        assert isinstance(error, ValueError) and words in str(error), error
    else:
        raise AssertionError(words)
told("no buffer", 5)
told("their type", [1, 2])
told("no type 'f2'", b"", dtype="f2")
told("no layout", b"", layout="rows")
told("not all of type u1", [256], dtype="u1")
told("are of type f8, not f4", array.array("d", [1]), dtype="f4")
told("whole number of f8", b"1234567", dtype="f8")
told("not from 1", b"", values_per_cell=-1)
told("whole number of cells", array.array("d", [1, 2, 3]), values_per_cell=2)
told("one value a cell", array.array("d", [1]), values_per_cell=0)
told("layout bytes goes with", array.array("d", [1]), layout="bytes")
told("one after another", memoryview(bytearray(8))[::2])
"""
        python(script, self.spool)
        self.assertFalse(os.path.exists(os.path.join(self.spool, "result")) and os.listdir(os.path.join(self.spool, "result")))


class Domain(WithSpool):
    MASK = "P1\n4 3\n0 1 1 0\n1 1 1 1\n0 0 1 0\n"

    def test_the_block_and_its_mask(self):
        path = os.path.join(self.place.name, "m\u00e4sk.pbm")
        with open(path, "w") as file:
            file.write(self.MASK)
        script = f"""
import dcspool, pathlib
assert dcspool.block() is None and dcspool.grid() is None and dcspool.cells() == 0
try:
    dcspool.mask()
except dcspool.DomainError as error:
    assert "no domain" in str(error)
else:
    raise AssertionError
dcspool.domain(pathlib.Path({path!r}))
assert dcspool.grid() == (4, 3), dcspool.grid()
own = dcspool.block()
assert own == (0, 0, 4, 3) and (own.width, own.height, own.x1) == (4, 3, 4)
assert dcspool.mask() == bytes([0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 0])
assert dcspool.effective() == dcspool.cells() == 7
out = bytearray(12)
assert dcspool.mask(out) is out and sum(out) == 7
for wrong in (bytearray(11), bytes(12)):
    try:
        dcspool.mask(wrong)
    except dcspool.InvalidError:
        continue
    raise AssertionError(wrong)
assert (dcspool.subtask(), dcspool.rank(), dcspool.attempt()) == (0, 0, 1)
try:
    dcspool.domain("nowhere.pbm")
except dcspool.DomainError as error:
    assert "nowhere.pbm" in str(error)
"""
        python(script, self.spool)


class Errors(WithSpool):
    def test_an_environment_that_cannot_be_used(self):
        script = """
import dcspool
for call in (dcspool.subtask, dcspool.cells, dcspool.checkpoint_due, dcspool.block, lambda: dcspool.progress(1)):
    try:
        call()
    except dcspool.EnvError as error:
        assert "DC_SUBTASK" in str(error), error
    else:
        raise AssertionError(call)
"""
        python(script, self.spool, DC_SUBTASK="x")

    def test_a_spool_that_cannot_be_written(self):
        with open(self.spool, "w"):
            pass
        script = """
import dcspool
try:
    dcspool.checkpoint(1, {1: b"x"})
except (dcspool.IoError, dcspool.EnvError) as error:
    assert "spool" in str(error)
else:
    raise AssertionError
"""
        python(script, self.spool)

    def test_numbers_that_are_none(self):
        for call in (
            lambda: dcspool.progress(-1),
            lambda: dcspool.checkpoint(1 << 64, {}),
            lambda: dcspool.checkpoint(1, {-1: b""}),
            lambda: dcspool.checkpoint(1, {"a": b""}),
            lambda: dcspool.restore({1: b"read-only"}),
        ):
            with self.assertRaises(dcspool.InvalidError):
                call()

    def test_a_library_that_is_not_there(self):
        script = """
import dcspool
try:
    dcspool.rank()
except dcspool.LibraryError as error:
    assert isinstance(error, ImportError) and "DC_LIB" in str(error), error
else:
    raise AssertionError
"""
        python(script, self.spool, DC_LIB="/nowhere/libdcspool.so")

    def test_the_names_that_it_says_it_has(self):
        for name in dcspool.__all__:
            self.assertTrue(getattr(dcspool, name).__doc__, name)


@unittest.skipIf(numpy is None, "numpy is not installed")
class Numpy(WithSpool):
    def test_arrays_are_filled_in_place(self):
        script = """
import dcspool, numpy
a, b = numpy.arange(12.0).reshape(3, 4), numpy.array([True, False])
dcspool.checkpoint(1, {1: a, 2: b})
x, y = numpy.zeros((3, 4)), numpy.zeros(2, bool)
dcspool.result(a.astype("<i2"), layout="effective")
dcspool.result(numpy.asfortranarray(a).T.copy())
try:
    dcspool.result(numpy.arange(10.0)[::2])
except dcspool.InvalidError:
    pass
"""
        python(script, self.spool)


if __name__ == "__main__":
    unittest.main()
