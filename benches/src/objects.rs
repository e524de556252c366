//! What a sample makes that would outlive it: System V objects, queues, files, and its processes. All of it goes when the
//! sample ends, and on Ctrl-C.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use semring::Options;
use semring_cli::rivals::sysv_mq::Queue;

/// What has to be removed.
#[derive(Debug)]
enum Object {
    Channel(String),
    SysvMq(Queue),
    Segment(i32),
    Semaphores(i32),
    /// Files in /dev/shm whose names begin so.
    SharedFiles(String),
    Directory(PathBuf),
}

impl Object {
    /// It may be gone already; nothing can be done about other errors.
    fn remove(self) {
        match self {
            Object::Channel(name) => {
                let _ = Options::new().open(name.as_str()).and_then(|channel| channel.remove());
            }
            Object::SysvMq(queue) => drop(queue),
            // SAFETY: numbers and no buffer.
            Object::Segment(id) => unsafe {
                libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
            },
            // SAFETY: as above.
            Object::Semaphores(id) => unsafe {
                libc::semctl(id, 0, libc::IPC_RMID);
            },
            Object::Directory(path) => {
                let _ = std::fs::remove_dir_all(path);
            }
            Object::SharedFiles(prefix) => remove_files(Path::new("/dev/shm"), &prefix),
        }
    }
}

fn remove_files(dir: &Path, prefix: &str) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// What exists now, for the handler of Ctrl-C. Held while something is made: the handler must know of it.
static LIVE: Mutex<Live> = Mutex::new(Live { objects: Vec::new(), children: Vec::new() });

struct Live {
    objects: Vec<Object>,
    children: Vec<i32>,
}

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    fn clear(&mut self) {
        for child in &self.children {
            let _ = kill(Pid::from_raw(*child), Signal::SIGKILL);
        }
        for child in self.children.drain(..) {
            let _ = waitpid(Pid::from_raw(child), None); // or somebody else has waited for it
        }
        self.objects.drain(..).for_each(|object| object.remove());
    }
}

/// Removes everything and ends this process when it is interrupted or asked to end.
pub fn clean_up_when_interrupted() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        // Kept to the end, so that nothing is made any more.
        let mut live = live();
        live.clear();
        std::process::exit(130);
    })
}

/// The objects of one sample. There is one at a time.
pub struct Objects {
    live: Option<MutexGuard<'static, Live>>,
    descriptors: Vec<OwnedFd>,
}

impl Objects {
    /// Begins to make objects.
    pub fn new() -> Self {
        Objects { live: Some(live()), descriptors: Vec::new() }
    }

    /// Nothing more will be made: from here on an interrupt may come.
    pub fn complete(&mut self) {
        self.live = None;
    }

    fn note(&mut self, object: Object) {
        match &mut self.live {
            Some(live) => live.objects.push(object),
            None => live().objects.push(object),
        }
    }

    /// A directory in memory, for this sample only.
    pub fn directory(&mut self, path: PathBuf) -> std::io::Result<()> {
        std::fs::create_dir(&path)?;
        self.note(Object::Directory(path));
        Ok(())
    }

    pub fn child(&mut self, child: &Child) {
        let pid = child.id() as i32;
        match &mut self.live {
            Some(live) => live.children.push(pid),
            None => live().children.push(pid),
        }
    }

    /// A child that has ended and was waited for: its number may be anybody's now.
    pub fn ended(&mut self, child: &Child) {
        live().children.retain(|pid| *pid != child.id() as i32);
    }

    /// Ends the children that are left.
    pub fn kill_children(&mut self) {
        for child in &live().children {
            let _ = kill(Pid::from_raw(*child), Signal::SIGKILL);
        }
    }

    pub fn descriptor(&mut self, fd: OwnedFd) {
        self.descriptors.push(fd);
    }

    pub fn channel(&mut self, name: String) {
        self.note(Object::Channel(name));
    }

    pub fn sysv_mq(&mut self, queue: Queue) -> i32 {
        let id = queue.id();
        self.note(Object::SysvMq(queue));
        id
    }

    pub fn segment(&mut self, id: i32) -> i32 {
        self.note(Object::Segment(id));
        id
    }

    pub fn semaphores(&mut self, id: i32) -> i32 {
        self.note(Object::Semaphores(id));
        id
    }

    /// Files in /dev/shm that the ends will make.
    #[cfg_attr(not(any(feature = "boost", feature = "iceoryx2")), allow(dead_code))]
    pub fn shared_files(&mut self, prefix: String) {
        self.note(Object::SharedFiles(prefix));
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        match &mut self.live {
            Some(live) => live.clear(),
            None => live().clear(),
        }
    }
}
