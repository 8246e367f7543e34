//! Two dcruns on one host: each says which CPUs it uses, and is told who else uses them.

use dc_integration::Scratch;
use std::path::Path;

fn count(claims: &Path) -> usize {
    std::fs::read_dir(claims).unwrap().count()
}

#[test]
fn the_later_of_two_is_told_and_a_nested_one_is_not() {
    let place = Scratch::new();
    let shared = place.path("shared");
    std::fs::create_dir(&shared).unwrap();
    let kernel = place.script("waits", "echo up\nwhile ! test -e go; do sleep 0.05; done\n");
    let first = place.dcrun("-n 1").arg(&kernel).env("DC_CLAIMS", &shared).start();
    first.prints("up");
    // Its claim follows its first launch.
    let claims = shared.join("dc-claims");
    dc_integration::wait::until("a claim", || (claims.is_dir() && count(&claims) == 1).then_some(()));
    let told = "used by another dcrun as well: process";
    let second = place.dcrun("-n 1 --bind none true").env("DC_CLAIMS", &shared).run();
    let second = second.ends_with(0);
    assert!(second.err().contains(told), "{}", second.err());
    let quiet = place.dcrun("-q -n 1 --bind none true").env("DC_CLAIMS", &shared).run();
    let quiet = quiet.ends_with(0);
    assert_eq!(quiet.err(), "");
    place.write("go", "");
    first.finish().ends_with(0);
    let outer = place.dcrun("-n 1 dcrun -n 1 true").env("DC_CLAIMS", &shared).run();
    let outer = outer.ends_with(0);
    assert_eq!(outer.err(), "", "the outer and the inner one share CPUs on purpose");
    assert_eq!(count(&claims), 0, "nothing is left");
}
