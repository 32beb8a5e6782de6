package reconcile

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settlePause is how long a directory has to be quiet before it is read: whoever changes files changes several.
	settlePause = 200 * time.Millisecond
	// pollPeriod is how often a directory is looked at without a notification. Not every file system sends them, and a link
	// above the directory may have been changed.
	pollPeriod = 30 * time.Second
)

// watch calls changed whenever the definitions in a directory are others than before, until ctx ends.
func watch(ctx context.Context, dir string, log *slog.Logger, changed func()) {
	last := digest(dir)
	for ctx.Err() == nil {
		wait(ctx, dir, log)
		if now := digest(dir); now != last {
			last = now
			changed()
		}
	}
}

// wait returns when something happened in a directory and it is quiet again, or when it is time to look.
func wait(ctx context.Context, dir string, log *slog.Logger) {
	timer := time.NewTimer(pollPeriod)
	defer timer.Stop()
	notifications := make(<-chan fsnotify.Event)
	failures := make(<-chan error)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		notifications, failures = watcher.Events, watcher.Errors
		err = watchBelow(watcher, dir)
	}
	if err != nil {
		log.DebugContext(ctx, "definitions are looked at from time to time only", "directory", dir, "err", err)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-failures: // such as an overflow: look
			return
		case _, ok := <-notifications:
			if !ok {
				return
			}
			timer.Reset(settlePause)
		}
	}
}

// watchBelow adds a directory, what leads to it, and the directories below it.
func watchBelow(watcher *fsnotify.Watcher, dir string) error {
	// A link that names the directory is swapped in the directory that it stands in.
	if info, err := os.Lstat(dir); err != nil || info.Mode()&fs.ModeSymlink != 0 {
		if err := watcher.Add(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		}
		return watcher.Add(filepath.Join(dir, name))
	})
}

// digest tells the contents of two directories apart.
func digest(dir string) [sha256.Size]byte {
	sum := sha256.New()
	err := walk(os.DirFS(dir), func(name string, text []byte) { fmt.Fprintf(sum, "%q %d\n%s", name, len(text), text) })
	fmt.Fprint(sum, Revision(dir), err)
	return [sha256.Size]byte(sum.Sum(nil))
}
