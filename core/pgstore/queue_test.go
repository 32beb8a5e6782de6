package pgstore

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Waiters are served round robin over clients, and a client's own in their order.
func TestQueue(t *testing.T) {
	t.Parallel()
	q := newQueue()
	waiters := map[string]*waiter{}
	name := map[*waiter]string{}
	push := func(client uint64, n int) {
		w := &waiter{use: use{client: client}}
		label := fmt.Sprintf("%d%c", client, 'a'+n)
		waiters[label], name[w] = w, label
		q.push(w)
	}
	for n := range 5 {
		push(1, n)
	}
	push(2, 0)
	push(3, 0)
	push(3, 1)

	if got := name[q.youngestOfLongest()]; got != "1e" {
		t.Errorf("the youngest of the longest lane is %s, want 1e", got)
	}
	if q.waiting(3) != 2 || q.waiting(9) != 0 {
		t.Error("wrong number of waiters of a client")
	}
	if !q.remove(waiters["1b"]) || q.remove(waiters["1b"]) {
		t.Error("a waiter can be removed once")
	}
	if w := q.pop(claim, func(w *waiter) bool { return name[w] == "3b" }); name[w] != "3b" {
		t.Errorf("the only one that fits is 3b, got %s", name[w])
	}
	if w := q.pop(claim, func(*waiter) bool { return false }); w != nil {
		t.Errorf("none fits, got %s", name[w])
	}
	var order []string
	for q.n > 0 {
		order = append(order, name[q.pop(claim, func(*waiter) bool { return true })])
	}
	if got := strings.Join(order, " "); got != "1a 2a 3a 1c 1d 1e" {
		t.Errorf("served in the order %s", got)
	}
	if q.turns != [kinds]turn{} || len(q.clients) != 0 || q.youngestOfLongest() != nil {
		t.Error("empty lanes are left")
	}

	for n := range 3 {
		push(uint64(n), 0)
	}
	visited := 0
	q.each(func(w *waiter) { visited++; q.remove(w) })
	if visited != 3 || q.n != 0 {
		t.Errorf("visited %d of 3, %d left", visited, q.n)
	}
}

// While waits stay above the target, more and more are turned away; one short wait ends it.
func TestCodel(t *testing.T) {
	t.Parallel()
	c := codel{target: 100 * time.Millisecond}
	now := time.Unix(0, 0)
	var drops []time.Duration
	for at := time.Duration(0); at < time.Second; at += 10 * time.Millisecond {
		if c.drop(now.Add(at), 200*time.Millisecond) {
			drops = append(drops, at)
		}
	}
	if len(drops) < 10 || drops[0] != 100*time.Millisecond || drops[1] != 200*time.Millisecond {
		t.Fatalf("turned away at %v", drops)
	}
	for i := 3; i < len(drops); i++ {
		if drops[i]-drops[i-1] > drops[i-1]-drops[i-2]+10*time.Millisecond {
			t.Errorf("turned away less often: %v", drops)
		}
	}
	if c.drop(now.Add(time.Second), 50*time.Millisecond) || c.drop(now.Add(time.Second), 200*time.Millisecond) {
		t.Error("turned away after a short wait")
	}
	if c.drop(now.Add(1099*time.Millisecond), 200*time.Millisecond) || !c.drop(now.Add(1100*time.Millisecond), 200*time.Millisecond) {
		t.Error("the interval begins anew after a short wait")
	}
}
