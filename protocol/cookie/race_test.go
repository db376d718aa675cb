//go:build race

package cookie

const raceEnabled = true // the race detector allocates
