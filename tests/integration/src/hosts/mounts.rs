//! What a host sees of files: the machine's, but for /proc, /dev/shm, /run, its own disk, and what names it.

use super::kit::Kit;
use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::Path;

/// In a mount namespace of its own.
pub(super) fn make(kit: &Kit) -> Result<(), String> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(|e| format!("/: {e}"))?;
    fresh("proc", Path::new("/proc"), "")?;
    if kit.is_switch {
        return Ok(());
    }
    fresh("tmpfs", Path::new("/dev/shm"), "mode=1777")?;
    fresh("tmpfs", Path::new("/run"), "mode=755")?;
    // As the top of its hierarchy, which it is for this cgroup namespace.
    for group in &kit.groups {
        bind(&group.dir, &group.mounted)?;
    }
    let own = kit.base.join("own");
    match kit.disk_bytes {
        Some(bytes) => fresh("tmpfs", &own, &format!("size={bytes},mode=755"))?,
        None => bind(&kit.disk(), &own)?,
    }
    // The others' disks are not to be seen.
    fresh("tmpfs", &kit.base.join("hosts"), "size=4096,mode=755")?;
    for name in ["home", "state", "tmp"] {
        fs::create_dir_all(own.join(name)).map_err(|e| format!("{name}: {e}"))?;
    }
    let boot_id = Path::new("/run/boot_id");
    fs::write(boot_id, format!("{}\n", kit.boot_id)).map_err(|e| format!("{}: {e}", boot_id.display()))?;
    bind(boot_id, Path::new("/proc/sys/kernel/random/boot_id"))?;
    if Path::new("/etc/hosts").exists() {
        bind(&kit.base.join("names"), Path::new("/etc/hosts"))?;
    }
    Ok(())
}

fn fresh(kind: &str, at: &Path, options: &str) -> Result<(), String> {
    let options = Some(options).filter(|options| !options.is_empty());
    mount(Some(kind), at, Some(kind), MsFlags::empty(), options)
        .map_err(|e| format!("{kind} on {}: {e}", at.display()))
}

fn bind(what: &Path, at: &Path) -> Result<(), String> {
    mount(Some(what), at, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|e| format!("{} on {}: {e}", what.display(), at.display()))
}
