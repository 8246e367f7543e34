//! The C library as a kernel's author meets it: the header by itself, both libraries, and misuse.

use dc_integration::fixtures::include;
use dc_integration::run::Ask;
use dc_integration::{Scratch, built};
use std::os::unix::fs::symlink;

fn gcc(place: &Scratch, compiler: &str, options: &str) -> Ask {
    place.ask(compiler).words("-Wall -Wextra -Wpedantic -Werror -I").arg(include()).words(options)
}

/// Restores, checkpoints, reports and hands over; every function of the header is linked.
const KERNEL: &str = r#"
#include <dcspool.h>
#include <stdio.h>
int main(void)
{
    double field[3] = {1, 2, 3};
    uint64_t step = 0;
    uint32_t block[4], nx, ny;
    struct dc_region region = {1, field, sizeof field};
    if (dc_restore(&region, 1, &step) < 0) { fprintf(stderr, "%s\n", dc_error()); return 1; }
    printf("step %lu field %g due %d\n", (unsigned long)step, field[0], dc_checkpoint_due() >= 0);
    field[0] += 1;
    if (dc_checkpoint(step + 1, &region, 1) < 0 || dc_progress(1) < 0) return 2;
    if (dc_result(DC_F8, 1, DC_BYTES, field, 0) == 0) return 3;
    if (dc_result(DC_F8, 3, DC_BLOCK, field, 3) < 0) { fprintf(stderr, "%s\n", dc_error()); return 4; }
    if (dc_subtask() != 0 || dc_rank() != 0 || dc_attempt() < 1) return 5;
    if (dc_block(block) != 0 || dc_grid(&nx, &ny) != 0 || dc_mask(NULL, 0) != DC_EDOMAIN) return 6;
    (void)dc_cells();
    if (dc_domain("nowhere.pbm") >= 0) return 7;
    return dc_error()[0] ? 0 : 8;
}
"#;

#[test]
fn the_header_alone() {
    let place = Scratch::new();
    place.write("a.c", "#include <dcspool.h>\nint unused_a;\n");
    place.write("a.cc", "#include <dcspool.h>\nint (*take)(uint64_t) = dc_progress;\n");
    for standard in ["c99", "c11", "c17"] {
        gcc(&place, "gcc", &format!("-std={standard} -c a.c -o a.o")).run().ends_with(0);
    }
    let compiler = place.ask("sh").words("-c").arg("command -v g++").run();
    if compiler.code() == 0 {
        gcc(&place, "g++", "-std=c++11 -c a.cc -o a.o").run().ends_with(0);
    } else {
        eprintln!("not tested: the header in C++, for want of g++");
    }
}

#[test]
fn linked_statically_and_shared() {
    for shared in [false, true] {
        let place = Scratch::new();
        place.write("k.c", KERNEL);
        let ask = gcc(&place, "gcc", "-std=c99 -o k k.c");
        let ask = if shared {
            ask.arg("-L").arg(built("libdcspool.so").parent().unwrap()).words("-ldcspool")
        } else {
            ask.arg(built("libdcspool.a")).words("-lm -lpthread -ldl")
        };
        // Where both are, -l takes the shared one.
        ask.run().ends_with(0);
        // As it is installed: under the name that programs ask for.
        symlink(built("libdcspool.so"), place.path("libdcspool.so.0")).unwrap();
        let libraries = place.path("");
        let run = || place.ask(place.path("k")).env("LD_LIBRARY_PATH", &libraries).run().ends_with(0);
        assert_eq!(run().out(), "step 0 field 1 due 1\n");
        assert_eq!(run().out(), "step 1 field 2 due 1\n");
        assert_eq!(run().out(), "step 2 field 3 due 1\n");
    }
}

/// Misuse is an error with words, never a crash, and leaves the memory alone.
#[test]
fn misuse() {
    let place = Scratch::new();
    place.write(
        "k.c",
        r#"
#include <dcspool.h>
#include <stdio.h>
#include <string.h>
#define CHECK(what, wanted) do { int got = (int)(what); if (got != (wanted)) { printf("line %d: %d, %s\n", __LINE__, got, dc_error()); return 1; } } while (0)
int main(void)
{
    uint64_t step = 9;
    char a[4] = "abc", b[8] = "defghij";
    struct dc_region one = {1, a, 4}, null = {1, NULL, 4}, two[2] = {{1, a, 4}, {1, b, 8}};
    CHECK(dc_restore(&one, 1, &step), 0);
    CHECK(dc_checkpoint(1, &null, 1), DC_EINVAL);
    CHECK(dc_checkpoint(1, NULL, 3), DC_EINVAL);
    CHECK(dc_checkpoint(1, two, 2), DC_EINVAL);
    CHECK(dc_checkpoint(5, &one, 1), 0);
    CHECK(dc_result(99, 1, DC_BLOCK, a, 1), DC_EINVAL);
    CHECK(dc_result(DC_U1, 1, 77, a, 1), DC_EINVAL);
    CHECK(dc_result(DC_U1, 1, DC_BLOCK, NULL, 1), DC_EINVAL);
    CHECK(dc_result(DC_U1, 0, DC_BLOCK, a, 1), DC_EINVAL);
    CHECK(dc_result(DC_F8, 1, DC_BLOCK, a, UINT64_MAX), DC_EINVAL);
    CHECK(dc_mask((unsigned char *)a, 4), DC_EDOMAIN);
    return 0;
}
"#,
    );
    gcc(&place, "gcc", "-std=c11 -o k k.c")
        .arg(built("libdcspool.a"))
        .words("-lm -lpthread -ldl")
        .run()
        .ends_with(0);
    place.ask(place.path("k")).run().ends_with(0);
    place.write(
        "m.c",
        r#"
#include <dcspool.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
    uint64_t step = 9;
    char a[4] = "xyz", b[8] = "xxxxxxx";
    struct dc_region other = {2, a, 4}, longer = {1, b, 8}, right = {1, a, 4};
    if (dc_restore(&other, 1, &step) != DC_EMISMATCH || dc_restore(&longer, 1, &step) != DC_EMISMATCH) return 1;
    if (strcmp(a, "xyz") || strcmp(b, "xxxxxxx") || step != 9) return 2;
    if (dc_restore(&right, 1, &step) != 1 || strcmp(a, "abc") || step != 5) return 3;
    return 0;
}
"#,
    );
    gcc(&place, "gcc", "-std=c11 -o m m.c")
        .arg(built("libdcspool.a"))
        .words("-lm -lpthread -ldl")
        .run()
        .ends_with(0);
    place.ask(place.path("m")).run().ends_with(0);
}
