package zktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// jars are what Debian's package zookeeper brings. Without the last two the server logs nothing.
const jars = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-log4j12.jar:/usr/share/java/log4j-1.2.jar"

// startTimeout bounds the wait for servers to serve. One alone takes about a second on an idle machine.
const startTimeout = time.Minute

// server is one ZooKeeper server. Its data survives stop and start.
type server struct {
	dir  string
	port int // for clients

	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone and reaped; nil before the first start
}

// configure writes the server's files. The others are the servers of the ensemble, this one included; a server alone has none.
func (s *server) configure(id int, others []string) error {
	config := []string{
		"tickTime=100", // sessions may be as short as two ticks
		"initLimit=100",
		"syncLimit=50",
		"maxSessionTimeout=60000",
		"dataDir=" + filepath.Join(s.dir, "data"),
		"clientPort=" + strconv.Itoa(s.port),
		"clientPortAddress=127.0.0.1",
		"admin.enableServer=false",
		"4lw.commands.whitelist=srvr",
		"maxClientCnxns=0",
	}
	log := []string{
		"log4j.rootLogger=INFO, F",
		"log4j.appender.F=org.apache.log4j.FileAppender",
		"log4j.appender.F.File=" + filepath.Join(s.dir, "log"),
		"log4j.appender.F.layout=org.apache.log4j.PatternLayout",
		"log4j.appender.F.layout.ConversionPattern=%d{ISO8601} %-5p [%t:%C{1}] %m%n",
	}
	files := map[string]string{
		"zoo.cfg":          strings.Join(append(config, others...), "\n") + "\n",
		"log4j.properties": strings.Join(log, "\n") + "\n",
		"data/myid":        strconv.Itoa(id) + "\n",
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "data"), 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// start starts the process. It does not wait until the server serves.
//
// The kernel sends the parent-death signal when the thread ends that forked, so that thread waits for the process.
func (s *server) start() error {
	java, err := exec.LookPath("java")
	if err != nil {
		return fmt.Errorf("ZooKeeper needs Java: apt-get install --no-install-recommends zookeeper: %w", err)
	}
	if _, err := os.Stat(strings.Split(jars, ":")[0]); err != nil {
		return fmt.Errorf("ZooKeeper is missing: apt-get install --no-install-recommends zookeeper: %w", err)
	}
	out, err := os.OpenFile(filepath.Join(s.dir, "out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(java, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Dzookeeper.forceSync=no", "-Dzookeeper.admin.enableServer=false", "-cp", s.dir+":"+jars,
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(s.dir, "zoo.cfg"))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	s.cmd, s.done = cmd, make(chan struct{})
	started := make(chan error)
	go func() { // kill waits for done
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() //nolint:errcheck // because it was killed
			close(s.done)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start ZooKeeper: %w", err)
	}
	return nil
}

// running reports whether the process lives.
func (s *server) running() bool {
	if s.done == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// kill ends the process as a crash of its machine would, and waits for its end.
func (s *server) kill() error {
	if !s.running() {
		return nil
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.done
	return nil
}

// mode returns what the server takes itself for: standalone, leader or follower; "" if it does not serve.
func (s *server) mode() string {
	conn, err := net.DialTimeout("tcp", s.address(), time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("srvr")); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn) // what was read before an error is not a mode either
	for line := range bytes.Lines(answer) {
		if mode, ok := bytes.CutPrefix(line, []byte("Mode: ")); ok {
			return string(bytes.TrimSpace(mode))
		}
	}
	return ""
}

func (s *server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// log returns the last of what the server wrote, for errors.
func (s *server) log() string {
	var text string
	for _, name := range []string{"out", "log"} {
		if b, err := os.ReadFile(filepath.Join(s.dir, name)); err == nil {
			text += string(b[max(0, len(b)-2000):])
		}
	}
	return text
}
