//go:build race

package timeserver

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = true
