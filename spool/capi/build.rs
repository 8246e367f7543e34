//! Gives the shared library its soname, so that programs ask for the interface's version and not for a file.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libdcspool.so.0");
    println!("cargo::rerun-if-changed=build.rs");
}
