//! Starts the binary and looks at what it says.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread::JoinHandle;

/// The command, with colours and configuration of the surroundings taken away.
pub(crate) fn annal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annal"));
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Runs to the end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    annal().args(arguments).output().unwrap()
}

/// Runs to the end, which must be this exit code; gives stdout.
pub(crate) fn expect(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs with this on stdin.
pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = annal();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `{"count":N}` of the whole store.
pub(crate) fn count(data: &Path) -> u64 {
    let line = expect(0, &["query", "--data", text(data), "--count", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
    answer["count"].as_u64().unwrap()
}

/// A serving process. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) http: String,
    /// `tcp://127.0.0.1:PORT`
    pub(crate) tcp: String,
    said: Option<JoinHandle<String>>,
}

impl Server {
    /// Serves the directory on free ports, and waits until it is ready.
    pub(crate) fn start(data: &Path) -> Server {
        Server::start_at(data, "127.0.0.1:0", &[])
    }

    /// Serves with this TCP address and these options.
    pub(crate) fn start_at(data: &Path, tcp: &str, options: &[&str]) -> Server {
        Server::start_by(annal(), data, tcp, options)
    }

    /// Serves in a shell that has run these commands before, such as `ulimit`.
    pub(crate) fn start_after(commands: &str, data: &Path, options: &[&str]) -> Server {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{commands}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_annal")]);
        shell.stdin(Stdio::null());
        Server::start_by(shell, data, "127.0.0.1:0", options)
    }

    fn start_by(mut command: Command, data: &Path, tcp: &str, options: &[&str]) -> Server {
        command.args(["serve", "--data", text(data), "--http", "127.0.0.1:0", "--tcp", tcp]);
        let mut child = command.args(options).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let (mut http, mut tcp, mut said) = (None, None, String::new());
        loop {
            let mut line = String::new();
            let read = lines.read_line(&mut line).unwrap();
            assert!(read > 0, "the server ended: {said}");
            said.push_str(&line);
            match line.trim_end().split_once(" on ") {
                Some(("annal: http", url)) => http = Some(url.to_owned()),
                Some(("annal: tcp", url)) => tcp = Some(url.to_owned()),
                _ if line.trim_end() == "annal: ready" => break,
                _ => {}
            }
        }
        let said = Some(drain(lines, said));
        Server { child, http: http.unwrap(), tcp: tcp.unwrap(), said }
    }

    /// Asks it to end in good order; gives the exit code and all it said.
    pub(crate) fn terminate(self) -> (Option<i32>, String) {
        signal(&self.child, "TERM");
        self.ended()
    }

    /// Waits until it ends of its own accord; gives the exit code and all it said.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        (status.code(), self.said.take().unwrap().join().unwrap())
    }

    /// Ends it without a chance to finish anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

fn drain(mut lines: BufReader<ChildStderr>, mut said: String) -> JoinHandle<String> {
    std::thread::spawn(move || {
        lines.read_to_string(&mut said).unwrap();
        said
    })
}
