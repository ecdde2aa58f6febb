"""roberta"""
