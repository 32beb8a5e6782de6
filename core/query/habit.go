package query

import "sync/atomic"

// Habit knows whether puts to a bucket mostly overwrite objects or make new ones. It is a guess for the sake of speed: nothing
// depends on it. It is safe for concurrent use.
type Habit struct {
	score atomic.Int32 // grows with overwrites up to maxHabit; a new object takes as much as many of them
}

const (
	maxHabit   = 100
	firmHabit  = 20
	newObjects = 10 // how many overwrites a new object outweighs: Overwrite in vain costs more than it would have saved
)

// Overwrites reports whether the next put is likely to overwrite an object.
func (h *Habit) Overwrites() bool { return h.score.Load() >= firmHabit }

// Note notes what a put turned out to be. That concurrent calls may overwrite each other's notes does not matter.
func (h *Habit) Note(overwrote bool) {
	switch score := h.score.Load(); {
	case !overwrote:
		h.score.Store(max(0, score-newObjects))
	case score < maxHabit:
		h.score.Store(score + 1)
	}
}
