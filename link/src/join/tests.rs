//! Joining: a token is good once, for one key, on one connection, for a time. Each message replayed in each way.

use super::*;
use crate::frames::Rules;
use crate::instant::UnixSeconds;
use crate::peers::{Peer, PeersError, PeersFile};
use crate::session::{Event, LinkError, Session, Settings};
use crate::tls::{Admission, Endpoint};
use std::sync::Arc;

const TODAY: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = UnixSeconds(1_800_003_600);

struct Scheduler {
    tmp: tempfile::TempDir,
    endpoint: Endpoint,
    peers: PeersFile,
    tokens: TokensFile,
}

fn endpoint() -> Endpoint {
    Endpoint::new(&KeyPair::generate().unwrap()).unwrap()
}

fn settings() -> Settings {
    Settings::new(1, Arc::new(Rules::new(&[]).unwrap()))
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

impl Scheduler {
    fn new(cluster: u8) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let peers = PeersFile::create(&tmp.path().join("peers"), ClusterId([cluster; 16])).unwrap();
        let tokens = TokensFile::open(&tmp.path().join("tokens"), &peers).unwrap();
        Self { tmp, endpoint: endpoint(), peers, tokens }
    }

    /// As after kill -9: everything anew from the disk.
    fn restart(&mut self) {
        self.peers = PeersFile::open(&self.tmp.path().join("peers")).unwrap();
        self.tokens = TokensFile::open(&self.tmp.path().join("tokens"), &self.peers).unwrap();
    }

    fn token(&self) -> Token {
        let owner = Some(name("ann"));
        self.tokens.try_make(self.endpoint.fingerprint(), Role::Node, owner, LATER, None, TODAY).unwrap()
    }

    fn session(&self) -> Session {
        let admission = Admission::of(self.peers.peers(), &[Role::Node]).or_joiners(true);
        Session::accept(&self.endpoint, admission, settings(), 0, TODAY).unwrap()
    }

    fn join(&mut self, request: &JoinRequest) -> Result<Joined, JoinRefused> {
        self.tokens.try_join(request, &mut self.peers, TODAY).map_err(|error| error.to_tell())
    }
}

fn copy(token: &Token) -> Token {
    Token::parse(&token.reveal()).unwrap()
}

fn pump(a: &mut Session, b: &mut Session) -> Result<(), LinkError> {
    loop {
        let mut bytes = [Vec::new(), Vec::new()];
        let _ = (a.on_writable(&mut bytes[0], 0), b.on_writable(&mut bytes[1], 0));
        if bytes.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let (to_b, to_a) = (b.on_bytes(&bytes[0], 0), a.on_bytes(&bytes[1], 0));
        to_b.and(to_a)?;
    }
}

/// The request of a joiner, as the scheduler has it from a session of its own.
fn ask(s: &Scheduler, joiner: &Endpoint, token: &Token, who: &str) -> (JoinRequest, Session, Session) {
    let mut a = Session::join(joiner, copy(token), name(who), settings(), 0, TODAY).unwrap();
    let mut b = s.session();
    pump(&mut a, &mut b).unwrap();
    assert!(matches!(b.next_event(), Ok(Some(Event::Up(found))) if found.party() == crate::Party::Joiner));
    let Ok(Some(Event::Join(request))) = b.next_event() else { panic!("no request") };
    assert_eq!(request.fingerprint(), joiner.fingerprint());
    assert!(matches!(a.next_event(), Ok(Some(Event::Up(_)))));
    (request, a, b)
}

#[test]
fn a_token_is_one_line_that_is_read_whole_or_not_at_all() {
    let s = Scheduler::new(1);
    let token = s.token();
    let text = token.reveal();
    assert_eq!(text.len(), 7 + 1 + 26 + 1 + 52 + 1 + 52);
    assert_eq!(copy(&token).id(), token.id());
    for len in 0..text.len() {
        assert!(Token::parse(&text[..len]).is_err());
    }
    for bad in [format!("{}\n", *text), format!(" {}", *text), text.to_uppercase(), format!("{}.a", *text)] {
        assert!(Token::parse(&bad).is_err());
    }
    let secret = text.rsplit('.').next().unwrap();
    assert!(!format!("{token:?}").contains(secret));
    let kept = std::fs::read_to_string(s.tmp.path().join("tokens")).unwrap();
    assert!(!kept.contains(secret), "the scheduler keeps a hash alone");
    let mut public = String::new();
    crate::base32::put(&token.key().public(), &mut public);
    assert!(!kept.contains(&public));
}

#[test]
fn a_node_joins_once_and_is_a_peer_from_then_on() {
    let mut s = Scheduler::new(1);
    let (token, node) = (s.token(), endpoint());
    let (request, mut a, mut b) = ask(&s, &node, &token, "n1");
    let joined = s.join(&request).unwrap();
    assert_eq!(joined, Joined { role: Role::Node, name: name("n1") });
    b.answer_join(Ok(&joined));
    pump(&mut a, &mut b).unwrap();
    assert_eq!(a.next_event(), Ok(Some(Event::Joined(joined))));
    assert!(b.is_finished());
    let expected = Peer {
        fingerprint: node.fingerprint(),
        role: Role::Node,
        name: name("n1"),
        not_after: None,
        owner: Some(name("ann")),
    };
    for _ in 0..2 {
        assert_eq!(s.peers.peers().get(node.fingerprint()), Some(&expected));
        assert_eq!(s.tokens.list().unwrap()[0].state, TokenState::Joined(node.fingerprint()));
        s.restart();
    }
    // Even with the token at hand the key is a peer's now: it is told so, and nobody is asked.
    let mut again = Session::join(&node, copy(&token), name("n1"), settings(), 0, TODAY).unwrap();
    let mut b = s.session();
    pump(&mut again, &mut b).unwrap();
    assert!(matches!(b.next_event(), Ok(Some(Event::Up(crate::Identity::Peer(_))))));
    assert_eq!(b.next_event(), Ok(None), "a peer has nothing to join");
    assert!(matches!(again.next_event(), Ok(Some(Event::Up(_)))));
    pump(&mut again, &mut b).unwrap();
    assert_eq!(again.next_event(), Err(JoinRefused::KeyTaken.into()));
    assert!(b.is_finished() && b.send(1, b"").is_err());
}

#[test]
fn every_replay_of_a_request_is_refused() {
    let mut s = Scheduler::new(1);
    let (token, node, thief) = (s.token(), endpoint(), endpoint());
    let (request, _a, _b) = ask(&s, &node, &token, "n1");

    // Taken from the wire (by who could read it) before the scheduler has answered: on another connection, with the
    // thief's key and with the node's; under another name; with another scheduler's key.
    let (other, ..) = ask(&s, &thief, &s.token(), "n2");
    let (later, ..) = ask(&s, &node, &token, "n1");
    let stolen = |change: &dyn Fn(&mut JoinRequest)| {
        let mut stolen = request.clone();
        change(&mut stolen);
        stolen
    };
    let before = std::fs::read_to_string(s.tmp.path().join("tokens")).unwrap();
    for stolen in [
        stolen(&|r| r.channel = other.channel.clone()),
        stolen(&|r| r.channel = later.channel.clone()),
        stolen(&|r| r.channel.joiner = thief.fingerprint()),
        stolen(&|r| r.channel.server = thief.fingerprint()),
        stolen(&|r| r.channel.exporter[31] ^= 1),
        stolen(&|r| r.name = name("n2")),
        stolen(&|r| r.public = other.public),
        stolen(&|r| r.signature = other.signature),
        stolen(&|r| (r.public, r.signature) = (other.public, other.signature)),
    ] {
        assert_eq!(s.join(&stolen), Err(JoinRefused::NotAccepted));
    }
    assert_eq!(std::fs::read_to_string(s.tmp.path().join("tokens")).unwrap(), before, "nothing was marked");

    // The true one still works, and nothing does after it.
    s.join(&request).unwrap();
    for _ in 0..2 {
        assert_eq!(s.join(&request), Err(JoinRefused::Used), "the same on the same connection");
        assert_eq!(s.join(&later), Err(JoinRefused::Used), "the same key on another connection");
        s.peers.try_remove(node.fingerprint()).unwrap();
        assert_eq!(s.join(&request), Err(JoinRefused::Used), "not even when the node was removed meanwhile");
        let (mine, ..) = ask(&s, &thief, &token, "n3");
        assert_eq!(s.join(&mine), Err(JoinRefused::Used), "a token that was copied, after its use");
        s.restart();
        s.peers
            .try_add(Peer {
                fingerprint: node.fingerprint(),
                role: Role::Node,
                name: name("n1"),
                not_after: None,
                owner: None,
            })
            .unwrap();
    }
}

#[test]
fn expired_foreign_and_unknown_tokens_are_refused() {
    let mut s = Scheduler::new(1);
    let (token, node) = (s.token(), endpoint());
    let (request, ..) = ask(&s, &node, &token, "n1");
    let refused = s.tokens.try_join(&request, &mut s.peers, LATER).unwrap_err();
    assert_eq!(refused.to_tell(), JoinRefused::Expired);

    // Another cluster with the same scheduler's key, and one whose key is another.
    let mut other = Scheduler::new(2);
    assert_eq!(other.join(&request), Err(JoinRefused::WrongCluster));
    let mut a = Session::join(&node, copy(&token), name("n1"), settings(), 0, TODAY).unwrap();
    let error = pump(&mut a, &mut other.session()).unwrap_err();
    assert!(
        matches!(error, LinkError::Refused(crate::Refused::Pinned { .. })),
        "it shows nothing to a stranger"
    );

    // A token that this scheduler has not made.
    std::fs::remove_file(s.tmp.path().join("tokens")).unwrap();
    assert_eq!(s.join(&request), Err(JoinRefused::NotAccepted));
    assert!(s.peers.peers().iter().next().is_none());
}

#[test]
fn names_and_roles_are_not_the_joiners_to_choose() {
    let mut s = Scheduler::new(1);
    let (first, second) = (endpoint(), endpoint());
    let (token, other) = (s.token(), s.token());
    let (request, ..) = ask(&s, &first, &token, "n1");
    s.join(&request).unwrap();
    let (request, mut a, mut b) = ask(&s, &second, &other, "n1");
    assert_eq!(s.join(&request), Err(JoinRefused::NameTaken));
    b.answer_join(Err(JoinRefused::NameTaken));
    pump(&mut a, &mut b).unwrap();
    assert_eq!(a.next_event(), Err(LinkError::JoinRefused(JoinRefused::NameTaken)));
    let (request, ..) = ask(&s, &second, &other, "n2");
    s.join(&request).unwrap();
    for role in [Role::Scheduler, Role::Submit] {
        let made = s.tokens.try_make(s.endpoint.fingerprint(), role, None, LATER, None, TODAY);
        assert_eq!(made.unwrap_err(), TokensError::Role(role));
    }
}

#[test]
fn a_crash_between_the_two_files_is_finished_by_the_same_key_alone() {
    for has_line in [false, true] {
        let mut s = Scheduler::new(1);
        let (token, node, thief) = (s.token(), endpoint(), endpoint());
        let (request, ..) = ask(&s, &node, &token, "n1");
        let (other, ..) = ask(&s, &thief, &token, "n9");
        s.join(&request).unwrap();
        // Back to what is on disk after the first, or the second, of the three steps.
        let path = s.tmp.path().join("tokens");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(" joined="));
        std::fs::write(&path, text.replace(" joined=", " taken=")).unwrap();
        if !has_line {
            s.peers.try_remove(node.fingerprint()).unwrap();
        }
        s.restart();
        assert_eq!(s.join(&other), Err(JoinRefused::Used));
        let (again, expected) = if has_line {
            (request.clone(), Err(JoinRefused::Used))
        } else {
            let (again, ..) = ask(&s, &node, &token, "n1");
            (again, Ok(Joined { role: Role::Node, name: name("n1") }))
        };
        assert_eq!(s.join(&again), expected);
        assert!(s.peers.peers().get(node.fingerprint()).is_some());
        assert_eq!(s.join(&again), Err(JoinRefused::Used));
    }
}

#[test]
fn a_disk_that_fails_lets_nobody_in() {
    let mut s = Scheduler::new(1);
    let (token, node) = (s.token(), endpoint());
    let (request, ..) = ask(&s, &node, &token, "n1");
    // The peers file can no longer be believed: nothing is marked, nobody joins.
    let peers = s.tmp.path().join("peers");
    let good = std::fs::read(&peers).unwrap();
    std::fs::write(&peers, "rubbish\n").unwrap();
    assert_eq!(s.join(&request), Err(JoinRefused::NotRecorded));
    assert_eq!(s.tokens.list().unwrap()[0].state, TokenState::Fresh);
    std::fs::write(&peers, good).unwrap();
    s.join(&request).unwrap();
}

#[test]
fn a_joiner_may_send_one_request_and_nothing_else() {
    let s = Scheduler::new(1);
    let (token, node) = (s.token(), endpoint());
    let (_, mut a, mut b) = ask(&s, &node, &token, "n1");
    // A second one on the same connection, from a joiner that does as it likes.
    let joiner = a.channel().unwrap();
    let body = JoinRequest::body(&token, &name("n1"), &joiner);
    a.queue(0xf1, |out| out.extend_from_slice(&body)).unwrap();
    pump(&mut a, &mut b).unwrap();
    assert_eq!(b.next_event(), Err(LinkError::NoJoin));
    // A request that is not exactly one.
    for body in [&body[..body.len() - 1], &[&body[..], b"x"].concat(), &[], &body[..113]] {
        assert!(JoinRequest::decode(body, joiner.clone()).is_none());
    }
    assert!(JoinRequest::decode(&body, joiner).is_some());
}

#[test]
fn the_file_of_tokens_is_read_strictly() {
    let s = Scheduler::new(1);
    s.token();
    let text = std::fs::read_to_string(s.tmp.path().join("tokens")).unwrap();
    let (cluster, tokens) = file::parse("t".as_ref(), text.as_bytes()).unwrap();
    assert_eq!((cluster, tokens.len()), (ClusterId([1; 16]), 1));
    let line = text.lines().nth(1).unwrap();
    let key = Fingerprint([1; 32]);
    for bad in [
        text.replace(" node ", " scheduler "),
        text.replace("Z\n", "\n"),
        format!("{text}{line}\n"),
        format!("{} x\n", text.trim_end()),
        format!("{} taken={key} joined={key}\n", text.trim_end()),
        format!("{} joined={key} taken={key}\n", text.trim_end()),
        text[..text.len() - 1].to_owned(),
        line.to_owned() + "\n",
        String::new(),
    ] {
        assert!(file::parse("t".as_ref(), bad.as_bytes()).is_err(), "{bad}");
    }
    // Of another cluster than the peers file.
    let other = Scheduler::new(2);
    let path = other.tmp.path().join("tokens");
    other.token();
    std::fs::write(&path, text).unwrap();
    assert!(matches!(TokensFile::open(&path, &other.peers), Err(TokensError::Cluster { .. })));
}

#[test]
fn expired_tokens_are_forgotten_after_a_day() {
    let s = Scheduler::new(1);
    s.token();
    let make = |now| {
        s.tokens.try_make(s.endpoint.fingerprint(), Role::Node, None, now, None, now).unwrap();
        s.tokens.list().unwrap().len()
    };
    assert_eq!(make(LATER), 2);
    assert_eq!(make(LATER.plus_s(86_399)), 3);
    assert_eq!(make(LATER.plus_s(86_400)), 2);
}

#[test]
fn errors_of_the_peers_file_are_told_in_kind() {
    let taken = PeersError::KeyTaken { fingerprint: Fingerprint([0; 32]), role: Role::Node, name: name("a") };
    assert_eq!(JoinError::from(taken).to_tell(), JoinRefused::KeyTaken);
    for number in 0..=255 {
        let code = JoinRefused::from_number(number);
        assert_eq!(code.is_some(), (1..=7).contains(&number));
        assert!(code.is_none_or(|code| code as u8 == number));
    }
}
