"""The model beside what others published and measured."""
