"""What a pair is and how one is made: a plain library, free of Ray and of the training code."""
