package main

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	// pollEvery is how often files are looked at. They are polled because the notifications of operating systems say nothing
	// of changes made on the other side of a container's mount or of a network file system.
	pollEvery = 300 * time.Millisecond
	// settled is how often in a row a new content must be seen: an editor may be in the middle of writing it.
	settled = 2
	// gone is how often in a row a file must be absent: editors put a new file in the place of the old one.
	gone = 3
	// young is how old a content must be for its size and time to stand for it: a second write may fall into the same tick of
	// a file system's clock, the coarsest of which count in two seconds.
	young = 2 * time.Second
	// maxWatched is how much of a file is looked at, a byte more than what is read of config.yaml or fixtures.
	maxWatched = 1<<20 + 1
)

// watched is one file whose content is followed.
type watched struct {
	path   string
	stat   stamp
	latest content // at the last look
	looks  int     // how many in a row have found latest
	told   content // what changed last reported
}

// stamp is what the file system says of a file without opening it.
type stamp struct {
	size     int64
	modified time.Time
}

// content stands for the content of a file.
type content struct {
	sum    [sha256.Size]byte // of a regular file
	absent bool
	other  string // why there is no content: an error, or the sort of a file that is not a regular one
}

// watch begins to follow the content of a file, which may be absent.
func watch(path string, now time.Time) *watched {
	w := &watched{path: path}
	w.look(now)
	w.told = w.latest
	return w
}

// changed looks at the file. It reports whether the content is another than at the start or when changed last said so,
// and has come to rest.
func (w *watched) changed(now time.Time) bool {
	w.look(now)
	enough := settled
	if w.latest.absent {
		enough = gone
	}
	if w.latest == w.told || w.looks < enough {
		return false
	}
	w.told = w.latest
	return true
}

func (w *watched) look(now time.Time) {
	c := w.read(now)
	if c != w.latest {
		w.latest, w.looks = c, 0
	}
	w.looks++
}

// read returns the content of the file, which is the latest where size and time say so.
func (w *watched) read(now time.Time) content {
	before := w.stat
	w.stat = stamp{} // unless it turns out to be a regular file that can be read
	info, err := os.Stat(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return content{absent: true}
	case err != nil:
		return content{other: err.Error()}
	case !info.Mode().IsRegular(): // a pipe can be read only once
		return content{other: info.Mode().Type().String()}
	}
	s := stamp{info.Size(), info.ModTime()}
	if s == before && now.Sub(s.modified) > young {
		w.stat = s
		return w.latest
	}
	f, err := os.Open(w.path)
	if err != nil {
		return content{other: err.Error()}
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(f, maxWatched)); err != nil {
		return content{other: err.Error()}
	}
	w.stat = s
	var c content
	hash.Sum(c.sum[:0])
	return c
}
