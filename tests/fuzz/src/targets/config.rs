//! dc.toml: any text is a configuration, or has mistakes that stand in it.

use dc_config::{Config, ConfigError, Surroundings, diff};
use dc_link::Name;
use std::path::Path;

fn parse(data: &[u8]) -> Result<Config, ConfigError> {
    let surroundings = Surroundings { state_home: Some("/s".into()), ..Surroundings::default() };
    Config::parse(Path::new("/d/dc.toml"), data, &surroundings)
}

pub fn run(data: &[u8]) {
    let config = match parse(data) {
        Ok(config) => config,
        Err(ConfigError::Mistakes { mistakes, .. }) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            let lines = data.split(|byte| *byte == b'\n').count();
            for mistake in &mistakes {
                assert!((1..=lines).contains(&mistake.line) && mistake.column > 0, "{mistake:?}");
                assert!(!mistake.what.is_empty() && !mistake.what.contains(char::is_control), "{mistake:?}");
            }
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let node = Name::parse("n1").expect("a name");
    let _ = config.node(&node, "host");
    // What is shown of it means the same. A path that is no text of TOML's own cannot be here: the file is UTF-8.
    let text = config.written(None);
    let again = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    assert_eq!(again.entries, config.entries);
    assert!(diff(&config, &config).is_empty());
}

pub fn seeds() -> Vec<Vec<u8>> {
    let full = "[cluster]\nname = \"ocean\"\n[scheduler]\nlisten = \"*:7700\"\naddress = \"head:7700\"\nstate = \"s\"\n\
        lease = \"1500ms\"\njobs_max = 1_000\nsubmit_bytes_max = \"1G\"\nusers = \"everyone\"\n[node]\n\
        address = \"%n.x\"\nstate = \"/a/%n\"\ncpus = \"0-3\"\nmemory = \"8G\"\n[checkpoints]\nkeep = \"shared\"\n\
        shared_dir = \"/c\"\n[streams]\nrelay = \"h:1\"\n[client]\nconnect_timeout = \"3s\"\n";
    let nodes = "[[nodes]]\nname = \"n[1-2],m\"\nspeed = 2.5\npartner = \"n3\"\n[[nodes]]\nname = \"n3\"\n\
        topology = \"synthetic: pack:2 core:4 pu:1\"\nkill = \"cgroup2\"\naddress = \"[fd00::3]:9\"\nscheduler = \"./s\"\n";
    let odd = "scheduler = { lease = 0x10, \"keys\\u0041\" = '''a\nb''', x = [1, { y = 1979-05-27 }] }\n";
    [full, nodes, odd, ""].iter().map(|text| text.as_bytes().to_vec()).collect()
}
