//! Two programs that show what a net does to a TCP connection: one answers, one counts.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Answers each line of each connection with the same line.
///
/// # Panics
/// When the port is not to be had.
pub fn listen(port: &str) {
    let listener = TcpListener::bind(("0.0.0.0", port.parse::<u16>().unwrap())).unwrap();
    println!("listening");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let mut answer = stream.try_clone().unwrap();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if answer.write_all(format!("{line}\n").as_bytes()).is_err() {
                    return;
                }
            }
        });
    }
}

/// Connects, sends 1, 2, 3 … and prints each answer. When the connection breaks it says how, and ends with status 3.
///
/// # Panics
/// When it gets an answer that it did not wait for.
pub fn talk(to: &str) {
    let stream = TcpStream::connect(to).unwrap_or_else(|error| broken("connect", &error));
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    for number in 1u64.. {
        if let Err(error) = stream.write_all(format!("{number}\n").as_bytes()) {
            broken("write", &error);
        }
        let mut line = String::new();
        match answers.read_line(&mut line) {
            Ok(0) => broken("read", &std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => assert_eq!(line.trim(), number.to_string()),
            Err(error) => broken("read", &error),
        }
        println!("{number}");
        // Not in a hurry: only that it goes on is of interest.
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn broken(what: &str, error: &std::io::Error) -> ! {
    println!("broken: {what}: {error}");
    std::process::exit(3);
}
