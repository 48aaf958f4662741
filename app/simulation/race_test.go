//go:build race

package simulation

// defaultSeeds are fewer where the race detector makes each cost five times as much: ./package.sh test carries out the others without it.
const defaultSeeds = 25
