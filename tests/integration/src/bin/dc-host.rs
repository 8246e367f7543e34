//! The programs of the tests' hosts: the holder, process 1, and two that talk over TCP.

use dc_integration::hosts;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["hold", kit] => hosts::hold(kit),
        ["init", kit] => hosts::init(kit),
        ["listen", port] => hosts::talk::listen(port),
        ["talk", to] => hosts::talk::talk(to),
        _ => panic!("dc-host hold KIT | init KIT | listen PORT | talk ADDRESS:PORT"),
    }
}
