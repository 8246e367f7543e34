//! Who asks, and who the job's user is: by the system's accounts alone. Groups are looked up here, before anything is
//! given up, and never taken from a request.

use crate::config::{Config, Who};
use crate::stage::{Refused, Stage};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::ffi::CString;
use std::path::PathBuf;

/// Numbers that stand for nobody, or for no change.
const NOBODY: [u32; 3] = [65534, 65535, u32::MAX];

/// The job's user, checked.
#[derive(Clone, Debug)]
pub struct Account {
    /// Not 0, not below the configured least, not the caller's.
    pub uid: Uid,
    /// The first group, not 0.
    pub gid: Gid,
    /// All groups, the first one too.
    pub groups: Vec<Gid>,
    /// The user's name.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
    /// The login shell.
    pub shell: PathBuf,
}

/// Checks that `uid` is the one who may ask; gives it back.
///
/// # Errors
/// When it is somebody else, or cannot be known.
pub fn check_caller(config: &Config, uid: Uid) -> Result<u32, Refused> {
    let allowed = caller(config)?;
    if uid.as_raw() != allowed {
        return Err(Refused::rule(
            Stage::Caller,
            format!("user {uid} may not ask; only {allowed}, dcd's user, may"),
        ));
    }
    Ok(allowed)
}

/// The number of the one who may ask.
///
/// # Errors
/// When it cannot be known, or is root's.
pub fn caller(config: &Config) -> Result<u32, Refused> {
    match user_number(&config.caller, Stage::Caller)? {
        0 => Err(Refused::rule(Stage::Caller, "root needs no dc-exec: name dcd's own user as caller")),
        allowed => Ok(allowed),
    }
}

/// The account of a number, if it may run jobs.
///
/// # Errors
/// When it may not, when there is none, or when that cannot be known.
pub fn find(config: &Config, uid: u32, caller: u32) -> Result<Account, Refused> {
    let refuse = |why: &str| Err(Refused::rule(Stage::Account, format!("user {uid} {why}")));
    if uid == 0 || uid < config.uid_min {
        return refuse(&format!("runs no jobs: below uid_min, {}", config.uid_min));
    }
    if NOBODY.contains(&uid) || uid == caller {
        return refuse("runs no jobs: it is nobody's or dcd's own");
    }
    let found =
        User::from_uid(Uid::from_raw(uid)).map_err(Refused::by(Stage::Account, format!("user {uid}")))?;
    let Some(user) = found.filter(|user| user.uid.as_raw() == uid) else {
        return refuse("has no account on this node");
    };
    if user.gid.as_raw() == 0 {
        return refuse("has root's group as its first");
    }
    let name = CString::new(user.name.as_str())
        .map_err(|_| Refused::rule(Stage::Account, format!("user {uid} has a name that is none")))?;
    let groups = getgrouplist(&name, user.gid)
        .map_err(Refused::by(Stage::Account, format!("the groups of user {uid}")))?;
    let user_is = |who: &Who| Ok(user_number(who, Stage::Config)? == uid);
    let is_in = |who: &Who| Ok(groups.contains(&Gid::from_raw(group_number(who)?)));
    if any(&config.deny_users, user_is)? || any(&config.deny_groups, is_in)? {
        return refuse("is denied by the configuration");
    }
    let allowed = match (&config.allow_users, &config.allow_groups) {
        (None, None) => true,
        (users, groups) => {
            any(users.as_deref().unwrap_or_default(), user_is)?
                || any(groups.as_deref().unwrap_or_default(), is_in)?
        }
    };
    if !allowed {
        return refuse("is not among those whom the configuration allows");
    }
    Ok(Account { uid: user.uid, gid: user.gid, groups, name: user.name, home: user.dir, shell: user.shell })
}

/// Whether one of them is it. All are looked up: a name that is not known refuses, rather than denies nobody.
fn any(list: &[Who], is_it: impl Fn(&Who) -> Result<bool, Refused>) -> Result<bool, Refused> {
    list.iter().try_fold(false, |found, who| Ok(is_it(who)? || found))
}

fn user_number(who: &Who, stage: Stage) -> Result<u32, Refused> {
    let name = match who {
        Who::Id(number) => return Ok(*number),
        Who::Name(name) => name,
    };
    let found = User::from_name(name).map_err(Refused::by(stage, format!("user {name}")))?;
    found.map(|user| user.uid.as_raw()).ok_or_else(|| {
        Refused::rule(stage, format!("the configuration names user {name}, whom this node does not know"))
    })
}

fn group_number(who: &Who) -> Result<u32, Refused> {
    let name = match who {
        Who::Id(number) => return Ok(*number),
        Who::Name(name) => name,
    };
    let found = Group::from_name(name).map_err(Refused::by(Stage::Config, format!("group {name}")))?;
    found.map(|group| group.gid.as_raw()).ok_or_else(|| {
        Refused::rule(
            Stage::Config,
            format!("the configuration names group {name}, which this node does not know"),
        )
    })
}
