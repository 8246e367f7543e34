//! Becoming the user, for good. The order is fixed, each step is checked, and any failure ends it.

use crate::account::Account;
use crate::calls;
use crate::stage::{Refused, Stage};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid, setuid};

/// Gives up root: groups, gid, uid, and what could bring it back.
///
/// # Errors
/// The step that failed. The process must end then: some of it may be done.
pub fn become_user(user: &Account, no_new_privs: bool) -> Result<(), Refused> {
    let (uid, gid) = (user.uid, user.gid);
    setgroups(&user.groups).map_err(Refused::by(Stage::Groups, format!("{} groups", user.groups.len())))?;
    setresgid(gid, gid, gid).map_err(Refused::by(Stage::Gid, format!("gid {gid}")))?;
    setresuid(uid, uid, uid).map_err(Refused::by(Stage::Uid, format!("uid {uid}")))?;
    verify(user)?;
    calls::clear_capabilities().map_err(Refused::by(Stage::Capabilities, "cannot be given up"))?;
    if !calls::has_no_capabilities().map_err(Refused::by(Stage::Capabilities, "cannot be read"))? {
        return Err(Refused::rule(Stage::Capabilities, "some are left"));
    }
    if no_new_privs {
        prctl::set_no_new_privs().map_err(Refused::by(Stage::NoNewPrivs, "cannot be set"))?;
        if !prctl::get_no_new_privs().map_err(Refused::by(Stage::NoNewPrivs, "cannot be read"))? {
            return Err(Refused::rule(Stage::NoNewPrivs, "was set, and is not there"));
        }
    }
    prctl::set_dumpable(false).map_err(Refused::by(Stage::Descriptors, "cannot be made undumpable"))
}

/// What the system says of it now, whatever the calls said.
fn verify(user: &Account) -> Result<(), Refused> {
    let by = |what: &str| Refused::by(Stage::Verify, what.to_owned());
    let uids = getresuid().map_err(by("getresuid"))?;
    if [uids.real, uids.effective, uids.saved] != [user.uid; 3] {
        return Err(Refused::rule(Stage::Verify, "a user id is not the user's"));
    }
    let gids = getresgid().map_err(by("getresgid"))?;
    if [gids.real, gids.effective, gids.saved] != [user.gid; 3] {
        return Err(Refused::rule(Stage::Verify, "a group id is not the user's"));
    }
    if sorted(&getgroups().map_err(by("getgroups"))?) != sorted(&user.groups) {
        return Err(Refused::rule(Stage::Verify, "the groups are not the user's"));
    }
    if setuid(Uid::from_raw(0)).is_ok() {
        return Err(Refused::rule(Stage::Verify, "root can still be had back"));
    }
    Ok(())
}

fn sorted(groups: &[Gid]) -> Vec<u32> {
    let mut numbers: Vec<_> = groups.iter().map(|gid| gid.as_raw()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
